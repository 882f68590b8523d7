#!/usr/bin/env python3
"""Writes src/infer/tokens/unicode_tables.inc from Python's own Unicode database (14.0 with Debian 12's Python 3.11).

    tools/make_unicode_tables.py > src/infer/tokens/unicode_tables.inc
"""
import sys
import unicodedata

SPACES = {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
          0x2028, 0x2029, 0x202F, 0x205F, 0x3000}

# The cased letters that DeepSeek's first pre-tokenizer lists one by one: a fact of that vocabulary, older than
# today's Unicode and with gaps of its own.
DEEPSEEK_LETTERS = (
    "A-Z a-z B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C 38E-3A1 "
    "3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 "
    "1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC "
    "1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D "
    "2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 "
    "2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A "
    "10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943")


def category(code):
    if code in SPACES:
        return "kSpace"
    name = unicodedata.category(chr(code))
    if name in ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn"):
        return "k" + name
    return {"M": "kMark", "N": "kNumber", "P": "kPunctuation", "S": "kSymbol"}.get(name[0], "kOther")


def rows(items):
    line = ""
    for item in items:
        if len(line) + len(item) + 2 > 100:
            yield line
            line = ""
        line += (" " if line else "") + item + ","
    yield line


def table(kind, name, items):
    print(f"constexpr {kind} {name}[] = {{")
    for line in rows(items):
        print(line)
    print("};\n")


def case_table(name, change):
    out = []
    for code in range(0x110000):
        to = ord(change(chr(code)))
        if to == code:
            continue
        last = out[-1] if out else None
        if last and code - last[1] == last[3] and to - code == last[2] and last[0] != last[1]:
            last[1] = code
        elif last and last[0] == last[1] and code - last[1] in (1, 2) and to - code == last[2]:
            last[1], last[3] = code, code - last[0]
        else:
            out.append([code, code, to - code, 1])
    table("CaseRange", name, (f"{{{a:#x},{b:#x},{d},{s}}}" for a, b, d, s in out))


def main():
    print(f"// Written by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}. Do not edit.")
    print("// clang-format off")
    starts, previous = [], None
    for code in range(0x110000):
        now = category(code)
        if now != previous:
            starts.append((code, now))
            previous = now
    table("CategoryStart", "kCategories", (f"{{{code:#x},{name}}}" for code, name in starts))

    case_table("kLower", lambda c: c.lower()[0])  # U+0130 alone becomes two: its dot is a mark
    case_table("kUpper", lambda c: c.upper() if len(c.upper()) == 1 else c)

    bases = []
    for code in range(0x110000):
        if 0xAC00 <= code < 0xD7A4:  # Hangul is decomposed by rule
            continue
        full = unicodedata.normalize("NFD", chr(code))
        left = [ord(c) for c in full if unicodedata.category(c) != "Mn"]
        if full == chr(code) or not left:
            continue
        if len(left) > 3:
            sys.exit(f"U+{code:04X}: more than three base characters")
        bases.append((code, left))
    table("BaseOf", "kBases", ("{%#x,{%s}}" % (code, ",".join(f"{c:#x}" for c in left)) for code, left in bases))

    ranges = []
    for word in DEEPSEEK_LETTERS.split():
        first, _, last = word.partition("-")
        number = (lambda text: ord(text)) if word in ("A-Z", "a-z") else (lambda text: int(text, 16))
        ranges.append((number(first), number(last or first)))
    table("CodeRange", "kDeepseekLetters", (f"{{{a:#x},{b:#x}}}" for a, b in ranges))


main()
