// The playground in a real browser, against a real server: STOA_URL, or ../bin/stoa if that is not set.
// CHROMIUM names the browser, SCREENSHOT a file to write a picture of the page to.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

const catalogue = JSON.parse(await readFile(new URL('../../errcode/error-codes.json', import.meta.url)))
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let server, browser, page, left, right
const complaints = []

before(async () => {
  const url = process.env.STOA_URL ?? (await startServer())
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  page = await browser.newPage({ viewport: { width: 1440, height: 900 }, deviceScaleFactor: 2, colorScheme: 'light' })
  page.setDefaultTimeout(10_000)
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`))
  page.on('console', (message) => {
    // The browser reports each refused request, also the one with the wrong password that a test sends on purpose.
    const onPurpose = message.location().url.endsWith('/token') && /status of 400/.test(message.text())
    if (message.type() === 'error' && !onPurpose) complaints.push(`console: ${message.text()}`)
  })
  await page.goto(new URL('/playground/', url).href)
  left = page.locator('[data-side=left]')
  right = page.locator('[data-side=right]')
})

after(async () => {
  await browser?.close()
  if (server && server.exitCode === null) {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
})

/** Starts the server on a free port and returns the address that it prints. */
async function startServer() {
  server = spawn(new URL('../../bin/stoa', import.meta.url).pathname, ['dev', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = []
  const found = new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).on('line', (line) => {
      said.push(line)
      const address = line.match(/https?:\/\/[^\s"]+\/playground\//)
      if (address) resolve(address[0])
    })
    server.on('error', reject)
    server.on('exit', (code) => reject(new Error(`stoa dev ended with ${code}:\n${said.join('\n')}`)))
    setTimeout(() => reject(new Error(`no address of the playground in:\n${said.join('\n')}`)), 20_000).unref()
  })
  return await found
}

const button = (pane, name) => pane.getByRole('button', { name, exact: typeof name === 'string' })

async function logIn(pane, user) {
  await pane.getByLabel('User id').fill(user)
  await pane.getByLabel('Password', { exact: true }).and(pane.locator('[type=password]')).fill('stoa')
  await button(pane, 'Connect').click()
  await pane.getByRole('status').getByText('online', { exact: true }).waitFor()
}

async function say(pane, text) {
  await pane.getByRole('textbox', { name: /^Message from/ }).fill(text)
  await button(pane, 'Send').click()
}

/** Presses a button that provokes an error and waits until the page explains it. */
async function provoke(pane, code) {
  const entry = catalogue.find((e) => e.code === code)
  await button(pane, new RegExp(`^${code} `)).click()
  const plaque = pane.locator(`.plaque[data-code="${code}"]`).last()
  for (const text of [entry.name, entry.summary, entry.causes[0], entry.remedies[0]]) {
    await plaque.getByText(text.replaceAll('`', ''), { exact: true }).waitFor()
  }
  return plaque
}

test('both users log in', async () => {
  await logIn(left, 'alice')
  await logIn(right, 'bob')
  await left.locator('.entries').getByText('onConnected').waitFor()
})

test('messages travel both ways, and their receipts travel back', async () => {
  const talk = [
    [left, right, 'Is that our own server?'],
    [right, left, 'It is. The same client as always, with two addresses changed.'],
    [left, right, 'And if I write to somebody who is not there?'],
    [right, left, 'Try it. You get the real code, and what to do about it.'],
  ]
  for (const [from, to, text] of talk) {
    await say(from, text)
    await to.locator('.bubble[data-mine=false]', { hasText: text }).last().waitFor()
    const sent = from.locator('.bubble[data-mine=true]', { hasText: text }).last()
    await sent.and(page.locator('[data-progress=read]')).waitFor()
    assert.match(await sent.locator('.id').textContent(), /^\d+$/)
  }
  const log = left.locator('.entries')
  for (const event of ['onTextMessage', 'onReceivedMessage', 'onDeliveredMessage', 'onReadMessage']) {
    await log.getByText(event, { exact: true }).first().waitFor()
  }
})

test('an error is explained in the margin', async () => {
  const unknown = await provoke(left, 204)
  await unknown.getByText('send() rejected', { exact: true }).waitFor()
  const garbage = await provoke(right, 28)
  await garbage.getByText('onError, open() rejected, onDisconnected', { exact: true }).waitFor()
  await right.getByRole('status').getByText('online', { exact: true }).waitFor() // the session is untouched
  if (process.env.SCREENSHOT) {
    await page.mouse.move(0, 0)
    await page.screenshot({ path: process.env.SCREENSHOT, animations: 'disabled' })
  }
})

for (const code of [1, 39, 511, 208]) {
  test(`error ${code} can be provoked`, () => provoke(left, code))
}

test('the explorer finds an error by its number and by a word', async () => {
  const explorer = page.getByRole('region', { name: 'Every error' })
  const first = explorer.locator('.item').first()
  await explorer.getByRole('searchbox').fill('221')
  await first.getByText('USER_NOT_FRIEND').waitFor()
  await explorer.getByRole('searchbox').fill('muted room')
  await first.click()
  await first.getByText('Remedy').waitFor()
  const shown = await explorer.locator('.item').count()
  assert.ok(shown > 0 && shown < 10, `${shown} errors found`)
  await explorer.getByRole('searchbox').fill('')
  assert.equal(await explorer.locator('.item').count(), catalogue.length)
})

test('an error is rehearsed for one user, once', async () => {
  const explorer = page.getByRole('region', { name: 'Every error' })
  await explorer.getByRole('searchbox').fill('221')
  const item = explorer.locator('.item').first()
  await item.locator('summary').click()
  await item.getByRole('button', { name: 'alice' }).click()
  const status = page.getByRole('region', { name: 'Rehearse an error' }).getByRole('status')
  await status.getByText('alice is to meet 221 USER_NOT_FRIEND').waitFor()
  await say(left, 'Are we friends?')
  await left.locator('.plaque[data-code="221"]').last().waitFor()
  await status.getByText('Nobody rehearses anything.').waitFor()
  await say(left, 'We are.')
  await right.locator('.bubble[data-mine=false]', { hasText: 'We are.' }).waitFor()
  await explorer.getByRole('searchbox').fill('')
})

for (const colorScheme of ['light', 'dark']) {
  test(`everybody can use the page (${colorScheme})`, async () => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => window.axe.run())
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    assert.deepEqual(
      serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join('\n')}`),
      [],
    )
  })
}

test('the page fits a phone', async () => {
  await page.setViewportSize({ width: 360, height: 740 })
  const width = await page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(width <= 360, `the page is ${width} pixels wide`)
})

test('a user who disconnects is offline, and can come back', async () => {
  await button(left, 'Disconnect').click()
  await left.getByRole('status').getByText('offline', { exact: true }).waitFor()
  await logIn(left, 'alice')
})

test('nothing went wrong that was not meant to', () => {
  assert.deepEqual(complaints, [])
})
