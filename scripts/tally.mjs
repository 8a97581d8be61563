// Counts the tests in a log and prints what failed. Usage: node tally.mjs go|node LOG STATUS
//
// "go" reads what `go test -json` writes, "node" what `node --test` writes; STATUS is the exit status of the command.
// To stdout goes "passed failed skipped", to stderr the output of the failed tests.

import { readFileSync } from 'node:fs'

const linesShown = 80 // of one failure; the log has all

const [kind, path, status] = process.argv.slice(2)
const lines = readFileSync(path, 'utf8').split('\n')
const { pass, fail, skip } = kind === 'go' ? goTests(lines) : nodeTests(lines)
// A command that failed without a failed test (it could not start, or was killed) is a failure, too.
const lost = status !== '0' && fail === 0 ? 1 : 0
if (lost) show(`ended with status ${status}`, lines.slice(-linesShown).join('\n'))
console.log(pass, fail + lost, skip)

function show(name, text = '') {
  const kept = text.split('\n').filter((line) => !line.startsWith('=== '))
  const shown = kept.slice(0, linesShown)
  if (shown.length < kept.length) shown.push('…')
  console.error(`--- ${name}\n${shown.join('\n')}`)
}

function goTests(lines) {
  const count = { pass: 0, fail: 0, skip: 0 }
  const builds = new Map() // their output
  const packages = new Map() // their own output, and that of their tests that have not ended
  const failed = new Set() // packages with failed tests
  for (const line of lines) {
    let event
    try {
      event = JSON.parse(line)
    } catch {
      if (line.trim()) console.error(line) // from the go command itself
      continue
    }
    const { Action: action, Package: name, Test: test, Output: text = '' } = event
    if (event.ImportPath) {
      builds.set(event.ImportPath, (builds.get(event.ImportPath) ?? '') + text)
      continue
    }
    if (!packages.has(name)) packages.set(name, { output: '', tests: new Map() })
    const { tests } = packages.get(name)
    if (!(action in count)) {
      if (test) tests.set(test, (tests.get(test) ?? '') + text)
      else packages.get(name).output += text
    } else if (test) {
      count[action]++
      if (action === 'fail') {
        failed.add(name)
        show(`${name} ${test}`, tests.get(test))
      }
      tests.delete(test)
    } else if (action === 'fail') {
      endPackage(name, packages.get(name), event.FailedBuild)
    }
  }
  return count

  // A package that fails has failed tests, or tests that never ended (the time limit), or could not be built or run.
  function endPackage(name, { output, tests }, build) {
    for (const [test, text] of tests) {
      count.fail++
      show(`${name} ${test}: did not end`, text)
    }
    if (tests.size === 0 && !failed.has(name)) {
      count.fail++
      show(name, (builds.get(build) ?? '') + output)
    }
  }
}

function nodeTests(lines) {
  const count = { pass: 0, fail: 0, skip: 0 }
  const names = { pass: 'pass', fail: 'fail', cancelled: 'fail', skipped: 'skip', todo: 'skip' }
  let failure = false
  for (const line of lines) {
    const total = /^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)$/.exec(line)
    if (total) count[names[total[1]]] += Number(total[2])
    // TAP: "not ok …", its block ends with "  ..."; the other reporter repeats what failed at the end.
    if (/^\s*not ok /.test(line) || line.startsWith('✖ failing tests:')) failure = true
    if (failure) console.error(line)
    if (/^\s*\.\.\.$/.test(line)) failure = false
  }
  return count
}
