"""SVG paths read back as positions, for tests of charts."""

import re

COMMAND = re.compile(r"([MmLlHhVvZz])([^MmLlHhVvZz]*)")
NUMBER = re.compile(r"-?\d*\.?\d+")


def positions(path):
    """Return the position after every command of a path, as (command, x, y)."""
    result, x, y = [], 0.0, 0.0
    for command, text in COMMAND.findall(path):
        numbers = [float(number) for number in NUMBER.findall(text)]
        relative = command.islower()
        match command.upper():
            case "M" | "L":
                x, y = (x + numbers[0], y + numbers[1]) if relative else numbers
            case "H":
                x = x * relative + numbers[0]
            case "V":
                y = y * relative + numbers[0]
        result.append((command.upper(), x, y))
    return result


def drawn(chart, style):
    """Return the positions of the chart's shapes of one style."""
    return [position for shape in chart.shapes if shape.style == style for position in positions(shape.path)]
