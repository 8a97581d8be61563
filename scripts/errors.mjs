// Prints which code reaches which client in which way, from what the tests recorded. Usage: node errors.mjs FILE [--markdown]
//
// Exits with 1 if something failed, if a code of the founding table has no pass in the Go SDK, or if a way that the
// catalogue names has no test.

import { readFileSync } from 'node:fs'

const [file, form] = process.argv.slice(2)
const catalogue = JSON.parse(readFileSync(new URL('../errcode/error-codes.json', import.meta.url), 'utf8'))
const ways = ['go return', 'go onError', 'web return', 'web onError', 'rehearsed go', 'rehearsed web']

const results = new Map() // "code way" → whether all tests passed
for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
  const { code, way, ok } = JSON.parse(line)
  if (!ways.includes(way)) throw new Error(`there is no way "${way}"`)
  const key = `${code} ${way}`
  results.set(key, (results.get(key) ?? true) && ok)
}

// why says why a code cannot reach a client in a way; undefined: it can.
function why(entry, way) {
  const [client, surface] = way.split(' ')
  if (client === 'rehearsed' || entry.code === 0 && surface === 'return') return undefined
  const surfaces = client === 'go' ? entry.surfaces : entry.web_surfaces
  if (surfaces.length === 0) return 'this client cannot raise it'
  if (surfaces.includes(surface)) return undefined
  return surface === 'onError' ? 'answers a call' : 'no answer to a call'
}

let passed = 0
let failed = 0
const missing = []
const rows = []
for (const entry of catalogue) {
  if (rows.some(({ code }) => code === entry.code)) continue // number 0 has a second name
  const row = { code: entry.code, name: entry.name, seed: entry.in_seed }
  for (const way of ways) {
    const ok = results.get(`${entry.code} ${way}`)
    if (ok !== undefined) {
      row[way] = ok ? 'pass' : 'fail'
      ok ? passed++ : failed++
      continue
    }
    row[way] = way.startsWith('rehearsed') ? '–' : `– (${why(entry, way) ?? entry.unmet ?? 'not tested'})`
  }
  if (entry.in_seed && row['go return'] !== 'pass' && row['go onError'] !== 'pass') missing.push(entry.code)
  rows.push(row)
}

if (form === '--markdown') {
  console.log(`| code | name | ${ways.join(' | ')} |\n|---|---|${ways.map(() => '---|').join('')}`)
  for (const row of rows) console.log(`| ${row.code} | ${row.name} | ${ways.map((way) => row[way]).join(' | ')} |`)
  console.log()
} else {
  const width = Object.fromEntries(ways.map((way) => [way, Math.max(way.length, ...rows.map((row) => row[way].length))]))
  console.log(`${'code'.padEnd(46)} ${ways.map((way) => way.padEnd(width[way])).join('  ')}`)
  for (const row of rows) {
    console.log(`${`${row.code} ${row.name}`.padEnd(46)} ${ways.map((way) => row[way].padEnd(width[way])).join('  ')}`)
  }
}
if (missing.length > 0) console.log(`codes of the founding table without a pass in the Go SDK: ${missing.join(', ')}`)
console.log(`errors: ${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || missing.length > 0 ? 1 : 0
