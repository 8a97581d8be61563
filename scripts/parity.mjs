// Prints which public methods of the web SDK work, from what the tests recorded. Usage: node parity.mjs FILE [--markdown]
//
// A method passes if a test proves it and no such test failed. Exits with 1 if one does not pass.

import { readFileSync } from 'node:fs'

const [file, form] = process.argv.slice(2)
const methods = JSON.parse(readFileSync(new URL('../docs/protocol/sdk-methods.json', import.meta.url), 'utf8'))
const results = new Map()
for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
  const { method, ok, file, title } = JSON.parse(line)
  if (!results.has(method)) results.set(method, [])
  results.get(method).push({ ok, by: `${file}: ${title}` })
}

const rows = methods.map(({ method, area, deprecated }) => {
  const tests = results.get(method) ?? []
  const failed = tests.find(({ ok }) => !ok)
  const passes = tests.length > 0 && !failed
  const by = (failed ?? tests[0])?.by ?? 'no test'
  return { method: deprecated ? `${method} (deprecated)` : method, area, result: passes ? 'pass' : 'fail', by }
})

if (form === '--markdown') {
  console.log('| method | area | result | shown by |\n|---|---|---|---|')
  for (const { method, area, result, by } of rows) console.log(`| ${method} | ${area} | ${result} | ${by.replaceAll('|', '\\|')} |`)
} else {
  for (const { method, area, result, by } of rows) console.log(`${method.padEnd(48)} ${area.padEnd(16)} ${result}  ${by}`)
}
const passed = rows.filter(({ result }) => result === 'pass').length
console.log(`${form === '--markdown' ? '\n' : ''}parity: ${passed} passed, ${rows.length - passed} failed`)
process.exitCode = passed === rows.length ? 0 : 1
