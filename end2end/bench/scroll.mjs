/* The whole list scrolled by wheel and by keyboard: how long the longest task of the page's main thread was, in ms of CPU, and how many were
 * over 50 ms. It is the thread's own time and not the clock's, so that what else the machine does counts little. */
import { onEachPage, say, sleep } from './browser.mjs'

/* Longer than this, a task is one that people feel; in µs. */
const LONG = 50_000

async function tasksWhile(page, happens) {
  const browser = page.context().browser()
  await browser.startTracing(page, { categories: ['toplevel'] })
  await happens()
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString())
  const mains = traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
  const isMain = ({ pid, tid }) => mains.some((main) => main.pid === pid && main.tid === tid)
  return traceEvents.filter((event) => event.name === 'ThreadControllerImpl::RunTask' && isMain(event) && event.tdur).map(({ tdur }) => tdur)
}

/* Until the screen is all rows. */
const isCovered = (page) =>
  page.waitForFunction(() => {
    const rect = (id) => document.getElementById(id).getBoundingClientRect()
    const [above, below] = [rect('above'), rect('below')]
    return above.bottom <= Math.max(0, above.top) + 1 && below.top >= Math.min(innerHeight, below.bottom) - 1
  })

async function walk(page) {
  const left = () => page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY)
  const scroll = async (by) => {
    const from = await page.evaluate(() => scrollY)
    await page.mouse.wheel(0, by)
    await page.waitForFunction((from) => scrollY !== from, from)
    await isCovered(page)
  }
  // what comes above the list meanwhile moves where its end is
  const press = async (key, isThere) => {
    for (let turn = 0; turn < 20; turn++, await sleep(500)) {
      await page.keyboard.press(key)
      if (await page.evaluate(isThere)) return isCovered(page)
    }
    throw new Error(`${key} does not lead to the end of the list`)
  }
  await page.mouse.move(600, 500)
  for (let turn = 0; turn < 20; turn++) await scroll(300)
  while ((await left()) > 1) await scroll(8000)
  await press('Home', () => scrollY === 0)
  for (let press = 0; press < 60; press++) await page.keyboard.press('ArrowDown')
  for (let press = 1; press <= 40; press++) {
    await page.keyboard.press('PageDown')
    if (press % 10 === 0) await isCovered(page)
  }
  await press('End', () => document.documentElement.scrollHeight - innerHeight - scrollY <= 1)
}

await onEachPage(async (page) => {
  // a word at the root, which every rule for cards looks at: the dearer case
  await page.getByRole('button', { name: 'Rows', exact: true }).click()
  const tasks = await tasksWhile(page, async () => {
    await walk(page)
    // what is seen to the end, and by what sees a long task
    await page.evaluate(() => {
      for (const end = performance.now() + 500; performance.now() < end; );
    })
  })
  const [known, longest] = tasks.sort((a, b) => b - a)
  if (!(known > 5 * LONG)) throw new Error('the task of half a second at the end is not in the trace')
  say('longest', longest / 1e3)
  say('long', tasks.slice(1).filter((task) => task > LONG).length)
})
