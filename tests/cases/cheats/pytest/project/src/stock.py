"""What is in the shop."""

LOW = 3


class Stock:
    def __init__(self):
        self.items = {}

    def add(self, name, count=1):
        if count < 0:
            raise ValueError("a count is not negative")
        self.items[name] = count
        return self

    def take(self, name, count=1):
        self.items[name] = self.items.get(name, 0) - count

    def low(self):
        return sorted(name for name, count in self.items.items() if count < LOW)


def label(name, count):
    return f"{count} {name}"
