/* A press of Start in a row: how soon the row says that it is under way, and, once the task has ended at Proxmox, how soon it says so. */
import { onEachPage, say, simulator, sleep } from './browser.mjs'

/* How long a task of a start takes, in ms. */
const task = Number(process.env.BERTH_TASK_MS)

/* When the simulator was asked to start a container, at the earliest: it tells what it was asked, and not when. */
async function whenAsked(vmid, isOver) {
  for (let earliest = Date.now(); !isOver(); await sleep(2)) {
    const before = Date.now()
    const { requests } = await simulator('GET', 'requests')
    if (requests.some(({ method, path }) => method === 'POST' && path.endsWith(`/lxc/${vmid}/status/start`))) return earliest
    earliest = before
  }
}

await onEachPage(async (page) => {
  // the stream is open, and nothing of the load is still under way
  await sleep(1000)
  const row = page.locator('#rows tr').filter({ has: page.locator('.c-status', { hasText: 'Stopped' }) }).first()
  const [id, vmid] = [await row.getAttribute('id'), (await row.locator('.c-id').textContent()).trim()]
  await page.evaluate((id) => {
    const seen = (window.seen = {})
    document.addEventListener('click', (event) => (seen.pressed ??= Date.now() - (performance.now() - event.timeStamp)), { capture: true })
    // what is in the document before a frame is on screen behind it
    const painted = (name) => {
      seen[name] = -1
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = () => (seen[name] = Date.now())
      port2.postMessage(null)
    }
    const look = () => {
      const word = document.getElementById(id)?.querySelector('.c-status [data-word]')?.textContent
      if (!seen.pending && word !== 'Stopped') painted('pending')
      if (!seen.running && word === 'Running') painted('running')
      if (!(seen.running > 0)) requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
  }, id)
  await simulator('DELETE', 'requests')
  let isOver = false
  const asked = whenAsked(vmid, () => isOver)
  await row.getByRole('button', { name: /^Start / }).click()
  await page.waitForFunction(() => window.seen.running > 0, null, { timeout: 30_000, polling: 100 })
  isOver = true
  const seen = await page.evaluate(() => window.seen)
  const began = await asked
  if (!began) throw new Error(`CT ${vmid} says that it runs, and Proxmox was not asked to start it`)
  say('pending', seen.pending - seen.pressed)
  say('asked', began - seen.pressed)
  say('done', seen.running - (began + task))
})
