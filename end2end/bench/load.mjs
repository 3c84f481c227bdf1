/* The first load of the list with a cold cache: what is asked for and in which order; and over slow 4G (1.6 Mbit/s, 150 ms), how soon there
 * is something to see and everything works. */
import { say, signedIn, sleep, times, url } from './browser.mjs'

async function load(context, network) {
  const page = await context.newPage()
  const session = await context.newCDPSession(page)
  await session.send('Network.enable')
  if (network) await session.send('Network.emulateNetworkConditions', network)
  const requests = []
  const bytes = new Map()
  session.on('Network.requestWillBeSent', ({ requestId, request, timestamp }) => {
    if (request.url.startsWith('http')) requests.push({ requestId, url: request.url, at: timestamp })
  })
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => bytes.set(requestId, encodedDataLength))
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.documentElement?.hasAttribute('data-ready')) return
      window.readyAt = performance.now()
      observer.disconnect()
    }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready'] })
  })
  await page.goto(url, { waitUntil: 'load' })
  await page.waitForFunction(() => window.readyAt, null, { timeout: 60_000 })
  // until nothing new was asked for during a second
  for (let known = -1; known !== requests.length; await sleep(1000)) known = requests.length
  const times = await page.evaluate(() => {
    const [navigation] = performance.getEntriesByType('navigation')
    const [paint] = performance.getEntriesByName('first-contentful-paint')
    return { firstByte: navigation.responseStart, paint: paint?.startTime, ready: window.readyAt }
  })
  await page.close()
  return { ...times, requests, bytes }
}

await signedIn(async (open) => {
  // the server reads the addresses of the rows on screen once, and each one is news
  const first = await open()
  await load(first)
  await sleep(10_000)
  await first.close()
  for (let time = 0; time < times; time++) {
    const context = await open()
    const { requests, bytes, paint, ready } = await load(context)
    await context.close()
    const began = (pattern) => Math.min(...requests.filter(({ url }) => pattern.test(url)).map(({ at }) => at))
    const fonts = requests.filter(({ url }) => /\.woff2/.test(url))
    say('requests', requests.length)
    say('wire', [...bytes.values()].reduce((sum, length) => sum + length, 0))
    say('fonts', fonts.reduce((sum, { requestId }) => sum + (bytes.get(requestId) ?? 0), 0))
    say('fonts-first', began(/\.woff2/) < began(/\.wasm/) ? 1 : 0)
    say('paint', paint)
    say('ready', ready)
    if (time === 0) console.error(requests.map(({ url }) => new URL(url).pathname.replace(/\.[0-9a-f]{12}/, '')).join(' '))
  }
  const slow4g = { offline: false, latency: 150, downloadThroughput: 1.6e6 / 8, uploadThroughput: 750e3 / 8 }
  for (let time = 0; time < times; time++) {
    const context = await open()
    const { paint, ready } = await load(context, slow4g)
    await context.close()
    say('slow-paint', paint)
    say('slow-ready', ready)
  }
})
