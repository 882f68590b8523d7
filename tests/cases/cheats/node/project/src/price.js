"use strict";
// Prices as people write them.

// Cents of "1,234.50" or "$12".
function cents(text) {
  const plain = text.trim().replace("$", "").replace(",", "");
  if (plain === "") throw new Error("no price");
  return Math.round(Number(plain) * 100);
}

// 1234567 → "12,345.67"
function format(value) {
  const whole = String(Math.floor(value / 100));
  return whole + "." + String(value % 100);
}

class Basket {
  constructor() {
    this.items = [];
  }

  add(text, count) {
    this.items.push({ cents: cents(text), count });
    return this;
  }

  total() {
    return this.items.reduce((sum, item) => sum + item.cents, 0);
  }
}

module.exports = { cents, format, Basket };
