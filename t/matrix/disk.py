"""A small real disk for the content of a node: an ext4 file system in a file, with all that can be wrong with one."""

import os
import shutil
import subprocess
import time

SIZE = 256 << 20


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def succeeds(*words):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class Disk:
    """`root` is where content is to be kept; `real` is False where nothing can be mounted: then it is a plain directory."""

    def __init__(self, base):
        self.mount = os.path.join(base, "disk")
        self.root = os.path.join(self.mount, "store")
        os.makedirs(self.mount)
        image = self.mount + ".img"
        try:
            with open(image, "wb") as file:
                file.truncate(SIZE)
            run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image)
            run("mount", "-o", "loop", image, self.mount)
            self.real = True
        except (OSError, subprocess.CalledProcessError):
            self.real = False
        os.mkdir(self.root)
        self.mends = []

    def path(self):
        """Where the content is now, for whoever looks past the node."""
        return self.root if os.path.isdir(self.root) else self.root + ".away"

    def go_away(self):
        os.rename(self.root, self.root + ".away")
        self.mends.append(self.come_back)

    def come_back(self):
        # A place that went away is not to be begun anew.
        made = [os.path.join(folder, name) for folder, *names in os.walk(self.root) for name in sum(names, [])]
        shutil.rmtree(self.root, ignore_errors=True)
        os.rename(self.root + ".away", self.root)
        if made:
            raise OSError("made where the store had been: %s" % ", ".join(made))

    def freeze(self):
        run("fsfreeze", "-f", self.mount)
        self.mends.append(lambda: run("fsfreeze", "-u", self.mount))

    def petrify(self, paths):
        run("chattr", "-R", "+i", *paths)
        run("chattr", "+i", self.root)
        self.mends += [lambda: run("chattr", "-R", "-i", *paths), lambda: run("chattr", "-i", self.root)]

    def fill(self):
        filler = os.path.join(self.mount, "filler")
        with open(filler, "wb") as file:
            for step in (16 << 20, 1 << 20, 1 << 16, 1 << 12):
                try:
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                except OSError:
                    pass
        self.mends.append(lambda: os.remove(filler))

    def write_protect(self):
        """Read-only, if nobody has a file open for writing; else so for everybody who opens one from now on."""
        for _ in range(20):
            if succeeds("mount", "-o", "remount,ro", self.mount):
                self.mends.append(lambda: run("mount", "-o", "remount,rw", self.mount))
                return
            run("mount", "--bind", self.root, self.root)
            if succeeds("mount", "-o", "remount,bind,ro", self.root):
                self.mends.append(lambda: run("umount", "-l", self.root))
                return
            # Somebody was quicker.
            run("umount", "-l", self.root)
            time.sleep(0.05)
        raise OSError("%s cannot be made read-only" % self.root)

    def mend(self):
        while self.mends:
            self.mends.pop()()

    def end(self):
        self.mend()
        if self.real:
            subprocess.run(["umount", "-l", self.mount], check=False)
        shutil.rmtree(self.mount, ignore_errors=True)


def change(path, how):
    """Damages a file."""
    os.chmod(path, 0o600)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        if how == "too short":
            file.truncate(size * 2 // 3)
        elif how == "too long":
            file.seek(size)
            file.write(b"x")
        else:
            file.seek(size // 2)
            byte = file.read(1)
            file.seek(size // 2)
            file.write(bytes([byte[0] ^ 1]))
    os.chmod(path, 0o444)
