"""Bytes that came and were not taken yet."""


class Buffered:
    """`fill` adds to the buffer, or fails when no more can come."""

    buffer = b""

    def exactly(self, length):
        """Yields so many bytes, in parts."""
        while length:
            if not self.buffer:
                self.fill()
            part, self.buffer = self.buffer[:length], self.buffer[length:]
            length -= len(part)
            yield part
