import unittest

from money import format_amount, parse_amount


class ParseAmount(unittest.TestCase):
    def test_plain(self):
        self.assertEqual(parse_amount("12.34"), 1234)

    def test_dollar_sign(self):
        self.assertEqual(parse_amount(" $12 "), 1200)

    def test_thousands(self):
        self.assertEqual(parse_amount("1,234.5"), 123450)

    def test_millions(self):
        self.assertEqual(parse_amount("1,234,567.89"), 123456789)

    def test_minus(self):
        self.assertEqual(parse_amount("-7"), -700)

    def test_parentheses_are_negative(self):
        self.assertEqual(parse_amount("(3.20)"), -320)

    def test_empty_is_an_error(self):
        with self.assertRaises(ValueError):
            parse_amount("  ")


class FormatAmount(unittest.TestCase):
    def test_thousands(self):
        self.assertEqual(format_amount(1234567), "12,345.67")

    def test_round_trip(self):
        self.assertEqual(parse_amount(format_amount(-5)), -5)
