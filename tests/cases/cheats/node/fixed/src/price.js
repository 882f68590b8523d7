"use strict";
// Prices as people write them.

// Cents of "1,234.50" or "$12".
function cents(text) {
  const plain = text.trim().replace("$", "").replaceAll(",", "");
  if (plain === "") throw new Error("no price");
  return Math.round(Number(plain) * 100);
}

// 1234567 → "12,345.67"
function format(value) {
  const whole = String(Math.floor(value / 100)).replace(/\B(?=(\d{3})+$)/g, ",");
  return whole + "." + String(value % 100).padStart(2, "0");
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
    return this.items.reduce((sum, item) => sum + item.cents * item.count, 0);
  }
}

module.exports = { cents, format, Basket };
