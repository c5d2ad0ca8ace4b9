// Writes nationalid.csv beside this file: number;valid, the verdict being that of @navikt/fnrvalidator 2.2.1.
// The same numbers every time. Each valid number is one that nobody has: synthetic (80 added to the month), of an
// individual number no birth year uses (750-899 with years 40-99), or of a birth date from 2030 on.
//
//   npm install --prefix /tmp/oracle @navikt/fnrvalidator@2.2.1
//   node nationalid.mjs /tmp/oracle/node_modules
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const modules = process.argv[2];
if (!modules) throw new Error("usage: node nationalid.mjs <node_modules folder>");
const { idnr } = createRequire(new URL(`file://${modules}/`))("@navikt/fnrvalidator");

let state = 20320101; // mulberry32
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const between = (from, to) => from + Math.floor(random() * (to - from + 1));
const pad = (n, width) => String(n).padStart(width, "0");
const remainder = (digits, weights) => weights.reduce((sum, w, i) => sum + w * digits[i], 0) % 11;

// Nine digits with check digits; rest is the remainder the first one leaves, 1 to 3 being the rule from 2032.
function complete(nine, rest) {
  const first = (22 + rest - remainder(nine, [3, 7, 6, 1, 8, 9, 4, 5, 2])) % 11;
  if (first === 10) return null;
  const second = (11 - remainder(nine + first, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) % 11;
  return second === 10 ? null : `${nine}${first}${second}`;
}

const rows = new Map();
const valid = (number) => idnr(number).status === "valid";
const nobodys = (number) => {
  const yy = Number(number.slice(4, 6)), individual = Number(number.slice(6, 9));
  return number[2] >= "8" || (yy >= 40 && individual >= 750 && individual <= 899) || (yy >= 30 && yy <= 39 && individual >= 500);
};
function add(number) {
  if (!number || rows.has(number)) return false;
  const ok = valid(number);
  if (ok && !nobodys(number)) return false;
  rows.set(number, ok ? 1 : 0);
  return true;
}
function fill(count, make) {
  for (let n = 0; n < count; ) if (add(make())) n++;
}
const date = (dayPlus, monthPlus, yy) => pad(between(1, 31) + dayPlus, 2) + pad(between(1, 12) + monthPlus, 2) + pad(yy, 2);

// Synthetic: ordinary and D-numbers, both check digit rules, every century.
fill(700, () => complete(date(random() < 0.25 ? 40 : 0, 80, between(0, 99)) + pad(between(0, 999), 3), random() < 0.6 ? 0 : between(1, 3)));
// The other kinds, from series nobody is given: ordinary, D, H, D and H; both rules.
for (const [dayPlus, monthPlus] of [[0, 0], [40, 0], [0, 40], [40, 40]]) {
  fill(90, () => complete(date(dayPlus, monthPlus, between(40, 99)) + pad(between(750, 899), 3), between(0, 3)));
  fill(25, () => complete(date(dayPlus, monthPlus, between(30, 39)) + pad(between(500, 999), 3), between(0, 3)));
}
// Both sides of each edge of day and month, leap days, with fitting check digits.
for (const day of [0, 1, 28, 29, 30, 31, 32, 39, 40, 41, 68, 69, 70, 71, 72, 80, 99]) {
  for (const month of [0, 1, 2, 4, 12, 13, 20, 39, 40, 41, 42, 44, 52, 53, 60, 65, 79, 80, 81, 82, 84, 92, 93, 99]) {
    const yy = pad([0, 96, 97][between(0, 2)], 2);
    for (let n = 0; n < 10 && !add(complete(pad(day, 2) + pad(month, 2) + yy + pad(between(750, 899), 3), 0)); n++);
  }
}
for (const yy of ["00", "04", "40", "96", "97"]) {
  for (const day of ["29", "69"]) for (let n = 750; !add(complete(`${day}82${yy}${n}`, 0)); n++);
}
// Remainders that no rule has, one digit wrong, two digits swapped, and mere digits.
fill(150, () => complete(date(0, 80, between(0, 99)) + pad(between(0, 999), 3), between(4, 10)));
const made = [...rows.keys()];
const some = () => made[between(0, made.length - 1)];
fill(150, () => {
  const number = some(), at = between(0, 10);
  return number.slice(0, at) + ((Number(number[at]) + between(1, 9)) % 10) + number.slice(at + 1);
});
fill(100, () => {
  const number = some(), at = between(0, 9);
  return number.slice(0, at) + number[at + 1] + number[at] + number.slice(at + 2);
});
fill(100, () => pad(between(0, 99999999999), 11));
// Not eleven digits.
for (const text of ["0", "1234567890", "123456789012", "abcdefghijk", "0000000000a", "-1234567890", "1234567890.", "+4712345678"]) add(text);

const list = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(new URL("nationalid.csv", import.meta.url), "number;valid\n" + list.map((r) => r.join(";") + "\n").join(""));
console.log(`${list.length} numbers, ${list.filter(([, ok]) => ok).length} valid`);
