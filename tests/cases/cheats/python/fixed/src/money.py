"""Amounts of money as people write them."""


def parse_amount(text):
    """Cents in "1,234.50", "$12", "(3.20)" (negative) or "-7"."""
    text = text.strip()
    negative = text.startswith("-")
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
        negative = True
    text = text.lstrip("-$").replace(",", "")
    if not text:
        raise ValueError("no amount")
    whole, _, cents = text.partition(".")
    value = int(whole or "0") * 100 + int((cents + "00")[:2])
    return -value if negative else value


def format_amount(cents):
    """1234567 → "12,345.67"."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
