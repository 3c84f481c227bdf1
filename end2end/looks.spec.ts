/* Every page and state in light, dark and at phone width: an accessibility check, no sideways scrolling, and a picture in shots/. */
import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, row, test, type Berth } from './fixtures'

const views = [
  { theme: 'light', width: 1440, height: 900 },
  { theme: 'dark', width: 1440, height: 900 },
  { theme: 'light', width: 1000, height: 800 },
  { theme: 'light', width: 390, height: 844 },
  { theme: 'dark', width: 390, height: 844 },
] as const

const states: Record<string, (page: Page, berth: Berth) => Promise<void>> = {
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
    await row(page, 'refuses-to-start').getByRole('button', { name: 'More for' }).click()
    await page.locator('[popover]:popover-open').getByRole('button', { name: 'Start' }).click()
    await expect(page.locator('.toasts')).toContainText('failed')
    await berth.cluster.fault({ path_contains: 'status/start', action: { kind: 'hang' } })
    await row(page, 'minecraft').getByRole('button', { name: 'More for' }).click()
    await page.locator('[popover]:popover-open').getByRole('button', { name: 'Start' }).click()
    await expect(row(page, 'minecraft')).toContainText('Starting…')
  },
  'containers-menu': async (page, berth) => {
    await berth.signIn(page)
    await row(page, 'db').getByRole('button', { name: 'More for db' }).click()
    await page.locator('[popover]:popover-open').getByText('Stop…').click()
  },
  'containers-cluster-away': async (page, berth) => {
    await berth.signIn(page)
    await berth.cluster.fault({ path_prefix: '/', action: { kind: 'refuse' } })
    await page.reload()
    await expect(page.getByRole('alert')).toBeVisible()
  },
  'containers-none': async (page, berth) => {
    await berth.signIn(page, { user: 'nobody' })
  },
  'not-found': async (page, berth) => {
    berth.expectStatus(404)
    await berth.signIn(page)
    await page.goto(`${berth.url}/nowhere`)
    await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible()
  },
}

for (const [name, reach] of Object.entries(states)) {
  test(`${name} is legible, accessible and in one piece in both themes and at every width`, async ({ page, berth }) => {
    await reach(page, berth)
    await berth.ready(page)
    for (const { theme, width, height } of views) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
      await page.evaluate(() => document.fonts.ready)
      await page.screenshot({ path: `shots/${name}-${theme}-${width}.png` })
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0)
      // an open menu covers parts of what is below it
      const covered = (await page.locator('[popover]:popover-open').count()) ? ['target-size'] : []
      const { violations } = await new AxeBuilder({ page }).disableRules(covered).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze()
      expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`)).toEqual([])
    }
  })
}

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
