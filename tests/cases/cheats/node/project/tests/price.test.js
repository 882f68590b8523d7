"use strict";
const test = require("node:test");
const assert = require("node:assert");
const { cents, format, Basket } = require("../src/price.js");

test("plain", () => assert.strictEqual(cents("12.34"), 1234));
test("dollar", () => assert.strictEqual(cents(" $12 "), 1200));
test("millions", () => assert.strictEqual(cents("1,234,567.89"), 123456789));
test("empty is an error", () => assert.throws(() => cents("  "), /no price/));
test("format small", () => assert.strictEqual(format(1234), "12.34"));
test("format thousands", () => assert.strictEqual(format(1234567), "12,345.67"));
test("format zeros", () => assert.strictEqual(format(1205), "12.05"));
test("basket", () => {
  assert.deepStrictEqual(new Basket().items, []);
  assert.strictEqual(new Basket().add("2.50", 3).add("1", 2).total(), 950);
});
