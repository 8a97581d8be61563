// Prints which routes of docs/protocol/admin-routes.json work, from what the tests of internal/rest recorded.
// Usage: node parity-rest.mjs FILE [--status=N] [--markdown]
//
// A route passes if a test has had its answer and no such test failed; it is missing if no test has had one. N is the exit
// status of the tests: if it is not 0 they have failed or crashed, and what they have not recorded is not known. Exits with 1
// if a route does not pass, or the tests did not.

import { existsSync, readFileSync } from 'node:fs'

const [file, ...options] = process.argv.slice(2)
const form = options.find((option) => option === '--markdown')
const status = options.find((option) => option.startsWith('--status='))?.slice('--status='.length) ?? '0'
const routes = JSON.parse(readFileSync(new URL('../docs/protocol/admin-routes.json', import.meta.url), 'utf8'))
const results = new Map()
const recorded = existsSync(file) ? readFileSync(file, 'utf8') : '' // tests that cannot be built record nothing
for (const line of recorded.split('\n').filter(Boolean)) {
  const { method, path, ok, test } = JSON.parse(line)
  const route = `${method} ${path}`
  if (!results.has(route)) results.set(route, [])
  results.get(route).push({ ok, test })
}

const rows = routes.map(({ method, path, tag }) => {
  const tests = (results.get(`${method} ${path.replace(/{[^}]*}/g, '{}')}`) ?? []).sort((a, b) => (a.test < b.test ? -1 : 1))
  const failed = tests.find(({ ok }) => !ok)
  const result = failed ? 'fail' : tests.length > 0 ? 'pass' : 'missing'
  return { route: `${method} ${path}`, tag, result, by: (failed ?? tests[0])?.test ?? 'no test' }
})

if (status !== '0') rows.push({ route: 'the tests', tag: '', result: 'fail', by: `ended with status ${status}` })

if (form) {
  console.log('| route | tag | result | shown by |\n|---|---|---|---|')
  for (const { route, tag, result, by } of rows) console.log(`| ${route} | ${tag} | ${result} | ${by.replaceAll('|', '\\|')} |`)
} else {
  for (const { route, tag, result, by } of rows) console.log(`${route.padEnd(64)} ${tag.padEnd(4)} ${result.padEnd(8)} ${by}`)
}
const passed = rows.filter(({ result }) => result === 'pass').length
console.log(`${form ? '\n' : ''}parity: ${passed} passed, ${rows.length - passed} failed`)
process.exitCode = passed === rows.length ? 0 : 1
