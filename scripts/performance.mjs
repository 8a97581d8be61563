// Writes docs/performance.md from what scripts/bench-peers.sh has measured, with the texts of performance.template.md.
// Usage: node performance.mjs FOLDER

import { existsSync, readdirSync, readFileSync } from 'node:fs'

const folder = process.argv[2]
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8')
const meta = JSON.parse(read('meta.json'))
const template = readFileSync(new URL('performance.template.md', import.meta.url), 'utf8')

const median = (values) => {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  if (sorted.length === 0) return undefined
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.floor(sorted.length / 2)]) / 2
}

// peers.get(target).get(workload).get(metric) is a list of what the windows gave.
const peers = new Map()
const at = (map, key, make) => map.get(key) ?? (map.set(key, make()), map.get(key))
for (const line of read('results.jsonl').split('\n').filter(Boolean)) {
  const { target, workload, metrics } = JSON.parse(line)
  const of = at(at(peers, target, () => new Map()), workload, () => new Map())
  for (const [metric, value] of Object.entries(metrics)) at(of, metric, () => []).push(value)
}
const compared = (target, workload, metric) => {
  const of = peers.get(target)
  // Prosody is measured with two messages in flight.
  return median((of?.get(workload) ?? (workload === 'direct-16' ? of?.get('direct-2') : undefined))?.get(metric) ?? [])
}

// own reads a figure of Stoa's own workloads: of several runs, in one file or in files with numbers, the median.
function own(name, key) {
  const files = readdirSync(`${folder}/goals`).filter((file) => file.startsWith(`${name}.`) && /^[0-9]*\.?json$/.test(file.slice(name.length + 1)))
  const runs = files.map((file) => read(`goals/${file}`)).filter((text) => text.trim() !== '').map(JSON.parse).flatMap((result) => result.runs ?? [result])
  return median(runs.map((run) => key.split('.').reduce((o, k) => o?.[k], run))) || undefined
}
const command = (name) => (existsSync(`${folder}/goals/${name}.command`) ? read(`goals/${name}.command`).trim() : '–')

// The goals. figures are of Stoa's own workloads: name, key, divisor, what is reached and stretched; less is better where
// least is set. peer is what the other load generator says of every server,
// and wanted what goes with the goal: how many times another server's figure Stoa's is.
const goals = [
  { n: 1, title: 'one to one, 16 in flight: acknowledged per CPU-s', figures: [['direct-16', 'acked_per_cpu_s', 1, 22000, 37000]], peer: ['direct-16', 'acked/server_cpu_s'], wanted: { ejabberd: 30, 'relay-gws': 0.4 } },
  { n: 2, title: 'the same: acknowledged/s', figures: [['direct-16', 'acked_per_s', 1, 19000, 32000]], peer: ['direct-16', 'acked/s'], wanted: { ejabberd: 15 } },
  { n: 3, title: 'one to one, 1 in flight: acknowledged per CPU-s', figures: [['direct-1', 'acked_per_cpu_s', 1, 9000, 15000]], peer: ['direct-1', 'acked/server_cpu_s'] },
  { n: 4, title: 'open loop, 600/s: ms to acknowledge, p99 (stretch: p50)', least: true, figures: [['open-low', 'ack_ms.p99', 1, 6.5, undefined], ['open-low', 'ack_ms.p50', 1, undefined, 1.2]] },
  { n: 5, title: 'open loop, 6,000/s: ms to acknowledge and to deliver, p99', least: true, figures: [['open-high', 'ack_ms.p99', 1, 19, 12], ['open-high', 'deliver_ms.p99', 1, 29, 12]] },
  { n: 6, title: 'group of 500, one sender: deliveries per CPU-s', figures: [['group-1', 'delivered_per_cpu_s', 1, 190000, 220000]], peer: ['group-1-sender', 'delivered/server_cpu_s'], wanted: { centrifuge: 1.2 } },
  { n: 7, title: 'group of 500, ten senders: deliveries per CPU-s', figures: [['group-10', 'delivered_per_cpu_s', 1, 390000, 580000]], peer: ['group-10-senders', 'delivered/server_cpu_s'], wanted: { centrifuge: 1.3 } },
  { n: 8, title: 'room of 5,000: deliveries per CPU-s', figures: [['room', 'delivered_per_cpu_s', 1, 90000, 111000]], peer: ['room-1-sender', 'delivered/server_cpu_s'], wanted: { centrifuge: 1.7 } },
  { n: 9, title: 'KiB for an idle connection', least: true, figures: [['idle', 'bytes_per_connection', 1024, 14.5, 10]], peer: ['idle', 'kib/connection'] },
  { n: 10, title: 'logins by token per CPU-s', figures: [['logins', 'logins_per_cpu_s', 1, 2800, 4500]], peer: ['idle', 'connects/server_cpu_s'] },
  { n: 11, title: 'catching up with 10,000: per s and per CPU-s', figures: [['catchup', 'caught_up_per_s', 1, 69000, 120000], ['catchup', 'caught_up_per_cpu_s', 1, 120000, 330000]], peer: ['catchup', 'caught_up/server_cpu_s'] },
  { n: 12, title: 'ms from exec to the first accepted login', least: true, figures: [['start', 'start_ms', 1, 150, 60]] },
  { n: 13, title: 'goals 1, 6 and 11 with a full database, against an empty one', figures: [], growth: true },
]

// Full databases: what was measured on one, through what was measured on an empty one in the same way.
const grown = [['direct', 'acked_per_cpu_s'], ['group', 'delivered_per_cpu_s'], ['catchup', 'caught_up_per_cpu_s']]
for (const [name, key] of grown) {
  const full = own(`full-${name}`, key)
  const empty = own(`empty-${name}`, key)
  goals[12].figures.push({ value: full && empty && full / empty, reach: 0.8, stretch: 0.95 })
}

function number(v) {
  if (v === undefined) return '–'
  if (v >= 1000) return Math.round(v).toLocaleString('en-US')
  return v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2)
}
const titles = { ejabberd: 'ejabberd', centrifuge: 'Centrifuge', 'relay-gws': 'the relay with gws' }
const times = (a, b) => (a === undefined || b === undefined || b === 0 ? '–' : `${number(a / b)}×`)
const list = (values) => values.filter((v) => v !== undefined).join(' · ') || '–'

const table = [
  '| # | goal | Stoa | reach | stretch | | ejabberd | Centrifuge | relay, gws | relay, coalescing | made by |',
  '|--:|---|--:|--:|--:|---|--:|--:|--:|--:|---|',
]
const missed = []
const unequal = []
const short = new Set() // goals to be explained
for (const goal of goals) {
  const figures = goal.figures.map((f) => (Array.isArray(f) ? { value: own(f[0], f[1]) && own(f[0], f[1]) / f[2], reach: f[3], stretch: f[4], name: f[0] } : f))
  const good = (limit) => (f) => f[limit] === undefined || (f.value !== undefined && (goal.least ? f.value <= f[limit] : f.value >= f[limit]))
  const known = figures.every(({ value }) => value !== undefined)
  const reached = known && figures.every(good('reach'))
  const stretched = reached && figures.every(good('stretch'))
  if (known && !reached) {
    missed.push(goal.n)
    short.add(goal.n)
  }
  const bound = (limit) => list(figures.map((f) => f[limit] !== undefined ? `${goal.least ? '≤' : '≥'} ${number(f[limit])}` : undefined))
  const ratio = (target) => (goal.peer ? times(compared('stoa', ...goal.peer), compared(target, ...goal.peer)) : '–')
  for (const [target, least] of Object.entries(goal.wanted ?? {})) {
    const [ours, theirs] = [compared('stoa', ...goal.peer), compared(target, ...goal.peer)]
    if (ours / theirs >= least || ours === undefined || theirs === undefined) continue
    short.add(goal.n)
    unequal.push(`goal ${goal.n} asks for ${number(least)} times ${titles[target]} and has ${number(ours / theirs)}`)
  }
  const made = goal.growth ? [command('full-direct'), command('full-group'), command('full-catchup')].filter((c) => c !== '–').join('`, `') || '–' : command(figures[0].name)
  table.push(`| ${goal.n} | ${goal.title} | ${list(figures.map((f) => number(f.value)))} | ${bound('reach')} | ${bound('stretch')} ` +
    `| ${stretched ? 'stretch' : reached ? 'reached' : known ? 'missed' : 'not measured'} | ${ratio('ejabberd')} | ${ratio('centrifuge')} | ${ratio('relay-gws')} ` +
    `| ${ratio('relay-coalesce')} | ${made === '–' ? '–' : `\`${made}\``} |`)
}

const columns = [
  ['direct-16: acked/s', 'direct-16', 'acked/s'], ['per CPU-s', 'direct-16', 'acked/server_cpu_s'], ['direct-1: per CPU-s', 'direct-1', 'acked/server_cpu_s'],
  ['group, 1 sender: deliveries per CPU-s', 'group-1-sender', 'delivered/server_cpu_s'], ['10 senders', 'group-10-senders', 'delivered/server_cpu_s'],
  ['room', 'room-1-sender', 'delivered/server_cpu_s'], ['KiB a connection', 'idle', 'kib/connection'], ['logins per CPU-s', 'idle', 'connects/server_cpu_s'],
  ['catch-up: /s', 'catchup', 'caught_up/s'], ['per CPU-s', 'catchup', 'caught_up/server_cpu_s'],
]
const names = {
  stoa: 'Stoa, SQLite (durable)', ejabberd: `ejabberd ${meta.versions.ejabberd}, PostgreSQL (durable)`, prosody: `Prosody ${meta.versions.prosody}, SQLite (durable; 2 in flight)`,
  centrifuge: `Centrifuge ${meta.versions.centrifuge} (memory)`, 'relay-gws': 'relay, gws (nothing is stored)', 'relay-coalesce': 'relay, coalescing writes (nothing is stored)',
}
const side = [`| | ${columns.map(([title]) => title).join(' | ')} |`, `|---|${'--:|'.repeat(columns.length)}`]
for (const target of peers.keys()) side.push(`| ${names[target] ?? target} | ${columns.map(([, w, m]) => number(compared(target, w, m))).join(' | ')} |`)

const growth = ['| | full | empty | ratio | made by |', '|---|--:|--:|--:|---|']
for (const engine of ['', 'postgres-']) {
  for (const [name, perCPU] of grown) {
    const key = engine ? perCPU.replace('_per_cpu_s', '_per_s') : perCPU // the CPU time of PostgreSQL is not known
    const full = own(`${engine}full-${name}`, key)
    const empty = own(`${engine}empty-${name}`, key)
    if (full === undefined && empty === undefined) continue
    growth.push(`| ${engine ? 'PostgreSQL' : 'SQLite'}: ${key.replace('_per_cpu_s', ' per CPU-s').replace('_per_s', '/s').replaceAll('_', ' ')} | ${number(full)} | ${number(empty)} | ` +
      `${full && empty ? number(full / empty) : '–'} | \`${command(`${engine}full-${name}`)}\` |`)
  }
}

const machine = `Taken on ${meta.date} at commit ${meta.commit}: ${meta.cpus} × ${meta.cpu}, ${meta.memory}, ${meta.disk}; ${meta.kernel}, ${meta.go}. One sitting of ` +
  `${meta.minutes} minutes, windows of ${meta.window}; medians of ${meta.runs} runs of Stoa's own workloads and of ${meta.repeat} windows of each server. ` +
  `Load average at the end: ${meta.load}.${meta.quick ? ' **A trial of the script with small sizes: the figures mean nothing.**' : ''}`

// A section of the template that begins with "### Goal N" stays only if that goal, or its ratio, is missed; without any, its parent goes.
function explanations(text) {
  const [head, ...rest] = text.split(/^(?=## )/m)
  return head + rest.map((section) => {
    const [intro, ...parts] = section.split(/^(?=### Goal )/m)
    if (parts.length === 0) return section
    const kept = parts.filter((part) => short.has(Number(/^### Goal (\d+)/.exec(part)[1])))
    return kept.length > 0 ? intro + kept.join('') : ''
  }).join('')
}

const parts = { machine, users: number(meta.users), runs: meta.runs, catchups: 3 * meta.runs, messages: number(meta.messages), goals: table.join('\n'), peers: side.join('\n'), storage: existsSync(`${folder}/storage.md`) ? read('storage.md').trim() : '',
  growth: growth.length > 2 ? growth.join('\n') : 'Not measured in this sitting.', missed: missed.length > 0 ? missed.join(', ') : 'none',
  unequal: unequal.length > 0 ? `${unequal.join('; ')}.` : 'all are as they should be.' }
process.stdout.write(explanations(template).replace(/{{(\w+)}}/g, (_, name) => parts[name]))
