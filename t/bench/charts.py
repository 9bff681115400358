"""Pictures: bars in pairs, and lines over what grows tenfold."""

import math
from html import escape

COLOURS = {"annex-keep": "#2f6f4f", "git-annex": "#b5651d"}
OTHERS = ["#2f6f4f", "#b5651d", "#3b5b92", "#8a3b6e"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 60, 20, 64, 40


def shown(value):
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


class Picture:
    def __init__(self, title, unit):
        self.out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]
        self.text(LEFT, 18, f"{title}, {unit}", size=14)

    def text(self, x, y, text, anchor="start", size=12):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(str(text))}</text>')

    def scale(self, marks):
        """Lines across: (height from 0 to 1, what it stands for)."""
        for share, value in marks:
            y = height(share)
            self.out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            self.text(LEFT - 6, y + 4, shown(value) if value else 0, "end")

    def legend(self, names):
        x = LEFT
        for place, name in enumerate(names):
            self.out.append(f'<rect x="{x}" y="32" width="10" height="10" fill="{colour(name, place)}"/>')
            self.text(x + 15, 41, name)
            x += 30 + 7 * len(name)

    def whole(self):
        return "\n".join([*self.out, "</svg>", ""])


def height(share):
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def colour(name, place):
    return COLOURS.get(name, OTHERS[place % len(OTHERS)])


def bars(title, unit, series, labels):
    """One value a label for each name of the series."""
    picture = Picture(title, unit)
    most = max((value for row in series.values() for value in row if value), default=1) * 1.1
    group = (WIDTH - LEFT - RIGHT) / len(labels)
    bar = group * 0.8 / len(series)
    picture.scale([(step / 4, most * step / 4) for step in range(5)])
    picture.legend(series)
    for place, (name, row) in enumerate(series.items()):
        for number, value in enumerate(row):
            if value:
                x, y = LEFT + group * (number + 0.1) + bar * place, height(value / most)
                picture.out.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" height="{height(0) - y:.1f}" fill="{colour(name, place)}"/>'
                )
    for number, label in enumerate(labels):
        picture.text(LEFT + group * (number + 0.5), HEIGHT - BOTTOM + 18, label, "middle")
    return picture.whole()


def lines(title, unit, series, labels, steep=False):
    """The same as lines, each label as far from the next; `steep`: on a scale whose marks are ten times the one before."""
    picture = Picture(title, unit)
    values = [value for row in series.values() for value in row if value]
    if steep:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
        high = max(high, low + 1)
        marks = [((power - low) / (high - low), 10.0**power) for power in range(low, high + 1)]
        share = lambda value: (math.log10(value) - low) / (high - low)
    else:
        most = max(values) * 1.1
        marks = [(step / 4, most * step / 4) for step in range(5)]
        share = lambda value: value / most
    picture.scale(marks)
    picture.legend(series)
    step = (WIDTH - LEFT - RIGHT - 60) / max(len(labels) - 1, 1)
    for place, (name, row) in enumerate(series.items()):
        points = [(LEFT + 30 + step * number, height(share(value))) for number, value in enumerate(row) if value]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        picture.out.append(f'<polyline points="{path}" fill="none" stroke="{colour(name, place)}" stroke-width="2"/>')
        picture.out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour(name, place)}"/>' for x, y in points]
    for number, label in enumerate(labels):
        picture.text(LEFT + 30 + step * number, HEIGHT - BOTTOM + 18, label, "middle")
    return picture.whole()
