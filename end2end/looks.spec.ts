/* Every page and state in light, dark and at phone width: an accessibility check, no sideways scrolling, and a picture in shots/. */
import AxeBuilder from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import { choose, expect, openMenu, row, test, troubled, type Berth } from './fixtures'

/* Each theme and each width is checked once by the rules; every combination has its picture, and its width is measured. */
const views = [
  { theme: 'light', width: 1440, height: 900, rules: true },
  { theme: 'dark', width: 1440, height: 900, rules: false },
  { theme: 'dark', width: 3840, height: 2160, rules: false },
  { theme: 'light', width: 1000, height: 800, rules: false },
  { theme: 'light', width: 360, height: 780, rules: false },
  { theme: 'dark', width: 390, height: 844, rules: true },
] as const

async function open(page: Page, name: string) {
  await row(page, name).getByRole('link', { name, exact: true }).click()
  await expect(page.getByRole('heading', { level: 1, name, exact: true })).toBeVisible()
}

async function deleteWeb(page: Page, berth: Berth) {
  await berth.signIn(page)
  await open(page, 'web')
  await page.goto(`${page.url()}/delete`)
  await berth.ready(page)
  await page.getByLabel('Type web to confirm').fill('web')
  await page.getByRole('button', { name: 'Delete container' }).click()
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
}

/* Brings a state about. What it gives is what the picture is of, where that is not the top of the page. */
type Reach = (page: Page, berth: Berth) => Promise<Locator | void>

const states: Record<string, Reach> = {
  'sign-in': async (page, berth) => {
    await page.goto(`${berth.url}/login`)
  },
  'sign-in-refused': async (page, berth) => {
    berth.expectStatus(401)
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { password: 'wrong' })
    await expect(page.getByRole('alert')).toBeVisible()
  },
  'sign-in-unreachable': async (page, berth) => {
    await berth.cluster.fault({ path_prefix: '/', action: { kind: 'refuse' } })
    await page.goto(`${berth.url}/login`)
    await expect(page.getByRole('alert')).toContainText('homelab cannot be reached.')
  },
  'sign-in-second-factor': async (page, berth) => {
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'twofactor' })
    await expect(page.getByLabel('Code')).toBeFocused()
  },
  'sign-in-second-factor-refused': async (page, berth) => {
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'twofactor' })
    await page.getByLabel('Code').fill('000000')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByText('Proxmox refused this code.')).toBeVisible()
  },
  'sign-in-second-factor-key': async (page, berth) => {
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'twofactor' })
    await page.getByRole('link', { name: 'Use a recovery key' }).click()
    await expect(page.getByLabel('Recovery key')).toBeFocused()
  },
  'sign-in-second-factor-unsupported': async (page, berth) => {
    berth.expectStatus(401)
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'yubikey', realm: 'corp' })
    await expect(page.getByRole('alert')).toBeVisible()
  },
  'sign-in-second-factor-expired': async (page, berth) => {
    await page.goto(`${berth.url}/login/code?cluster=homelab`)
    await expect(page.getByRole('alert')).toBeVisible()
  },
  containers: async (page, berth) => {
    await berth.signIn(page)
  },
  'containers-under-way': async (page, berth) => {
    // the start that hangs ends with Proxmox's silence
    berth.expectStatus(502, 504)
    await berth.signIn(page)
    await choose(page, 'refuses-to-start', 'Start')
    await expect(page.locator('.toasts')).toContainText('failed')
    await berth.cluster.fault({ path_contains: 'status/start', action: { kind: 'hang' } })
    await choose(page, 'minecraft', 'Start')
    await expect(row(page, 'minecraft')).toContainText('Starting…')
  },
  'containers-menu': async (page, berth) => {
    await berth.signIn(page)
    await (await openMenu(page, 'db')).getByText('Stop…').click()
  },
  'containers-cluster-away': async (page, berth) => {
    await berth.signIn(page)
    await berth.cluster.fault({ path_prefix: '/', action: { kind: 'refuse' } })
    await troubled(page, 'homelab cannot be reached.')
  },
  'containers-nodes-troubled': async (page, berth) => {
    // what is read from a container goes through its node
    await berth.cluster.fault({ path_prefix: '/nodes/pve2/lxc', action: { kind: 'status', code: 596, reason: 'Connection timed out' } })
    await berth.cluster.fault({ path_prefix: '/nodes/pve1/lxc', action: { kind: 'status', code: 596, reason: 'certificate verify failed' } })
    await berth.signIn(page)
    const nodes = page.getByRole('region', { name: 'Nodes' })
    await expect(nodes).toContainText('Takes long to answer', { timeout: 30_000 })
    await expect(nodes).toContainText('another one than the cluster knows', { timeout: 30_000 })
  },
  'containers-berth-away': async (page, berth) => {
    berth.expectConsole(/ERR_FAILED/)
    await berth.signIn(page)
    await page.route('**/api/get_page*', (route) => route.abort())
    await troubled(page, 'Berth cannot be reached.')
    await expect(page.getByText('Live', { exact: true })).toBeHidden()
  },
  'containers-searched': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}/?q=status:running&sort=cpu&desc`)
  },
  'containers-cards': async (page, berth) => {
    berth.expectStatus(502)
    await berth.signIn(page)
    await page.getByRole('button', { name: 'Cards', exact: true }).click()
    await choose(page, 'refuses-to-start', 'Start')
    await expect(row(page, 'refuses-to-start')).toContainText('failed')
    await page.evaluate(() => scrollTo(0, 0))
  },
  'containers-rows': async (page, berth) => {
    await berth.signIn(page)
    await page.getByRole('button', { name: 'Rows', exact: true }).click()
  },
  'containers-none-fits': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}/?q=tag:prod+nowhere`)
  },
  'containers-actions': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}${await row(page, 'db').getByRole('link', { name: 'More for db' }).getAttribute('href')}`)
  },
  'containers-none': async (page, berth) => {
    await berth.signIn(page, { user: 'nobody' })
  },
  'containers-none-yet': async (page, berth) => {
    await berth.cluster.change((state) => (state.containers = []))
    await berth.signIn(page)
    await expect(page.getByRole('heading', { name: 'No containers yet' })).toBeVisible()
  },
  'containers-deleted': async (page, berth) => {
    await deleteWeb(page, berth)
    await expect(page.locator('.banner')).toContainText('web is deleted')
  },
  container: async (page, berth) => {
    berth.expectStatus(409, 502)
    await berth.signIn(page)
    await choose(page, 'grafana', 'Restart')
    await expect(row(page, 'grafana')).toContainText('Running')
    await expect(row(page, 'grafana')).not.toContainText('Restarting')
    await choose(page, 'grafana', 'Shut down')
    await expect(row(page, 'grafana')).toContainText('Stopped')
    await open(page, 'grafana')
  },
  'container-new': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'locked-by-backup')
  },
  'container-usage': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await page.getByRole('link', { name: '1 d:' }).click()
    await page.locator('.ch').first().focus()
    await page.keyboard.press('ArrowLeft')
  },
  'container-operations': async (page, berth) => {
    await berth.signIn(page)
    await berth.cluster.act('/nodes/pve2/lxc/201/status/stop')
    await open(page, 'grafana')
    await page.getByRole('link', { name: 'Operations' }).click()
    await expect(page.locator('#history li').first()).toBeVisible()
  },
  'container-services': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await page.getByRole('link', { name: 'Services' }).click()
    await expect(page).toHaveURL(/services$/)
  },
  'container-cluster-away': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await berth.cluster.fault({ path_prefix: '/', action: { kind: 'refuse' } })
    // what was asked a moment ago is not asked again: the next beat says it
    await troubled(page, 'cannot be reached')
  },
  'container-node-offline': async (page, berth) => {
    await berth.signIn(page)
    await berth.cluster.setOnline('pve2', false)
    await expect(row(page, 'grafana')).toContainText('Unknown', { timeout: 15_000 })
    await open(page, 'grafana')
    await expect(page.getByRole('alert')).toHaveText(['pve2 does not answer.'])
  },
  'container-never-seen': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'CT 301')
    await expect(page.getByRole('alert')).toHaveText(['pve3 does not answer.'])
  },
  'container-pending-changes': async (page, berth) => {
    await berth.cluster.act('/nodes/pve1/lxc/104/config', { method: 'PUT', fields: { features: 'nesting=1', nameserver: '192.0.2.53', delete: 'onboot' } })
    await berth.signIn(page)
    await open(page, 'db')
    await expect(page.getByText('Takes effect at the next restart.')).toBeVisible()
    return page.getByText('Takes effect at the next restart.')
  },
  'task-of-proxmox': async (page, berth) => {
    await berth.signIn(page)
    await berth.cluster.act('/nodes/pve2/lxc/201/status/stop')
    await open(page, 'grafana')
    await page.getByRole('link', { name: 'Operations' }).click()
    await page.locator('#history').getByRole('link', { name: /Stop/ }).first().click()
    await expect(page).toHaveURL(/tasks/)
  },
  'task-log-unreadable': async (page, berth) => {
    const upid = await berth.cluster.act('/nodes/pve2/lxc/201/status/stop')
    await berth.cluster.fault({ path_contains: '/log', action: { kind: 'status', code: 500, reason: 'unable to open the log' } })
    await berth.signIn(page)
    await page.goto(`${berth.url}/tasks/${encodeURIComponent(upid)}`)
    await expect(page.locator('.panel').getByRole('alert')).toBeVisible()
  },
  'container-under-way': async (page, berth) => {
    await berth.signIn(page)
    await choose(page, 'never-finishes', 'Start')
    await open(page, 'never-finishes')
    await expect(page.locator('.banner')).toContainText('Starting…')
  },
  'container-failed': async (page, berth) => {
    berth.expectStatus(502)
    await berth.signIn(page)
    await choose(page, 'refuses-to-start', 'Start')
    await expect(row(page, 'refuses-to-start')).toContainText('Start failed')
    await open(page, 'refuses-to-start')
    await expect(page.locator('#history')).toContainText('Start failed')
  },
  'container-menu': async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await page.getByRole('button', { name: 'More actions' }).click()
  },
  'container-gone': async (page, berth) => {
    await deleteWeb(page, berth)
    await page.locator('.banner').click()
    await page.getByRole('link', { name: 'web', exact: true }).click()
    await expect(page.locator('#history')).toContainText('Deleted')
  },
  'container-nowhere': async (page, berth) => {
    berth.expectStatus(404)
    await berth.signIn(page)
    await page.goto(`${berth.url}/containers/00000000000000000000000000000000`)
  },
  delete: async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await page.goto(`${page.url()}/delete`)
  },
  confirm: async (page, berth) => {
    await berth.signIn(page)
    await open(page, 'db')
    await page.goto(`${page.url()}/confirm?verb=stop`)
    await expect(page.getByRole('heading', { name: 'Stop db?' })).toBeVisible()
  },
  'delete-refused': async (page, berth) => {
    berth.expectStatus(422)
    await berth.signIn(page)
    await open(page, 'web')
    await page.goto(`${page.url()}/delete`)
    await berth.ready(page)
    await page.getByLabel('Type web to confirm').fill('wbe')
    await page.getByRole('button', { name: 'Delete container' }).click()
    await expect(page.locator('#confirm-said')).not.toBeEmpty()
  },
  'operation-under-way': async (page, berth) => {
    await berth.signIn(page)
    await choose(page, 'never-finishes', 'Start')
    await row(page, 'never-finishes').getByRole('link', { name: 'alice@pve' }).click()
    await expect(page.locator('.log-foot').first()).toContainText('UPID:')
  },
  'operation-failed': async (page, berth) => {
    berth.expectStatus(502)
    await berth.signIn(page)
    await choose(page, 'refuses-to-start', 'Start')
    await row(page, 'refuses-to-start').getByRole('link', { name: 'Start failed' }).click()
    await expect(page.getByRole('alert')).toBeVisible()
  },
  'operation-log-forbidden': async (page, berth) => {
    await berth.signIn(page)
    await choose(page, 'grafana', 'Restart')
    await open(page, 'grafana')
    await page.locator('#history').getByRole('link', { name: 'Restarted' }).click()
    await expect(page.locator('.log')).toHaveCount(2)
    const address = page.url()
    await page.context().clearCookies()
    // bob may see grafana, and not what alice's tasks say
    await berth.signIn(page, { user: 'bob' })
    await page.goto(address)
    await expect(page.getByText('Proxmox shows this log to who began the task').first()).toBeVisible({ timeout: 20_000 })
  },
  'operation-forced': async (page, berth) => {
    await berth.signIn(page)
    await choose(page, 'ignores-shutdown', 'Shut down')
    await row(page, 'ignores-shutdown').getByRole('link', { name: 'alice@pve' }).click()
    await expect(page.locator('.note')).toContainText('was stopped hard', { timeout: 20_000 })
  },
  'containers-selected': async (page, berth) => {
    await berth.signIn(page)
    for (const name of ['grafana', 'jellyfin', 'web']) await page.getByRole('checkbox', { name: `Select ${name}`, exact: true }).check()
    await expect(page.getByText('3 selected').last()).toBeVisible()
  },
  'bulk-question': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}/bulk?verb=shutdown&all`)
    await expect(page.getByRole('heading', { name: /^Shut down \d+ containers/ })).toBeVisible()
  },
  'bulk-delete-refused': async (page, berth) => {
    berth.expectStatus(422)
    await berth.signIn(page)
    await page.goto(`${berth.url}/bulk?verb=delete&all&q=node:pve2`)
    await berth.ready(page)
    await page.getByLabel(/^Type delete/).fill('delete')
    await page.getByRole('button', { name: /^Delete \d/ }).click()
    await expect(page.locator('#confirm-said')).not.toBeEmpty()
  },
  'bulk-nothing': async (page, berth) => {
    await berth.signIn(page, { user: 'auditor' })
    await page.goto(`${berth.url}/bulk?verb=start&all`)
    await expect(page.getByRole('heading', { name: 'Nothing to start' })).toBeVisible()
  },
  'bulk-under-way': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}/bulk?verb=start&all&q=status:stopped`)
    await berth.ready(page)
    await page.getByRole('button', { name: /^Start \d/ }).click()
    await expect(page.locator('#items')).toContainText('Start failed', { timeout: 20_000 })
  },
  'containers-batch-under-way': async (page, berth) => {
    await berth.signIn(page)
    await page.goto(`${berth.url}/bulk?verb=start&all&q=never`)
    await berth.ready(page)
    await page.getByRole('button', { name: /^Start \d/ }).click()
    await expect(page.locator('#items')).toContainText('Starting')
    await page.goto(berth.url)
    await expect(page.getByRole('link', { name: /Start 1 container.*Follow/ })).toBeVisible()
  },
  'bulk-ended': async (page, berth) => {
    await berth.signIn(page)
    for (const name of ['refuses-to-start', 'web']) await page.getByRole('checkbox', { name: `Select ${name}`, exact: true }).check()
    await page.getByRole('button', { name: 'Start 2', exact: true }).click()
    await page.getByRole('button', { name: 'Start 2 containers' }).click()
    await expect(page.getByText('1 of 2 done, 1 failed')).toBeVisible({ timeout: 20_000 })
  },
  'not-found': async (page, berth) => {
    berth.expectStatus(404)
    await berth.signIn(page)
    await page.goto(`${berth.url}/nowhere`)
    await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible()
  },
}

// five pictures with an accessibility check each, and some states take a beat to come about
test.describe.configure({ timeout: 90_000 })

function looksRight(name: string, reach: Reach) {
  test(`${name} is legible, accessible and in one piece in both themes and at every width`, async ({ page, berth }) => {
    const subject = await reach(page, berth)
    await berth.ready(page)
    for (const { theme, width, height, rules } of views) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
      await page.evaluate(() => document.fonts.ready)
      if (subject) await subject.scrollIntoViewIfNeeded()
      await page.screenshot({ path: `shots/${name}-${theme}-${width}.png` })
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0)
      if (!rules) continue
      // an open menu covers parts of what is below it, and so does the bar of a selection
      const covered = (await page.locator('[popover]:popover-open, .bulk[data-selected]').count()) ? ['target-size'] : []
      const { violations } = await new AxeBuilder({ page }).disableRules(covered).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze()
      expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`)).toEqual([])
    }
  })
}

for (const [name, reach] of Object.entries(states)) looksRight(name, reach)

test.describe('without a cluster', () => {
  test.use({ connected: false })

  looksRight('first-run', async (page, berth) => {
    await page.goto(berth.url)
    await expect(page.getByRole('heading', { name: 'Connect a cluster' })).toBeVisible()
  })
})

test.describe('with more than can be ticked', () => {
  test.use({ containers: 300 })

  looksRight('containers-too-many-ticked', async (page, berth) => {
    await berth.signIn(page)
    // what is scrolled to comes a moment later, so the list is gone through until there are enough
    await expect(async () => {
      await page.evaluate(() => {
        document.querySelectorAll<HTMLElement>('#rows .c-sel input:not(:checked)').forEach((box) => box.click())
        scrollBy(0, 500)
        if (scrollY + innerHeight >= document.documentElement.scrollHeight) scrollTo(0, 0)
      })
      await expect(page.locator('.bulk .said')).toContainText('at most 200 one by one', { timeout: 100 })
    }).toPass({ intervals: [50], timeout: 30_000 })
  })
})

test('nothing moves when the page is taken over', async ({ page, berth }) => {
  await berth.signIn(page)
  await page.addInitScript(() => {
    const shifts: string[] = ((window as any).shifts = [])
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as any[]) {
        // a late font may move a glyph by a fraction of a pixel, though its stand-in has its metrics; 0.001 is about one row by one pixel
        const moved = entry.sources.map((source: any) => source.node?.outerHTML?.slice(0, 120) ?? source.node?.nodeName)
        if (entry.value >= 0.001) shifts.push(`${entry.value}: ${moved.join(' | ')}`)
      }
    }).observe({ type: 'layout-shift', buffered: true })
  })
  await page.reload()
  await berth.ready(page)
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
  expect(await page.evaluate(() => (window as any).shifts)).toEqual([])
})
