import { codeOfApp, expect, hasJavaScript, test } from './fixtures'

test('a stranger is led to the sign-in form and comes back where they wanted to go @both', async ({ page, berth }) => {
  await page.goto(`${berth.url}/?tag=prod`)
  await expect(page).toHaveURL(`${berth.url}/login?next=/%3Ftag%3Dprod`)
  await berth.fillIn(page, {})
  await expect(page).toHaveURL(`${berth.url}/?tag=prod`)
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('a wrong password is refused in one sentence, and what was entered stays, but for the password @both', async ({ page, berth }) => {
  berth.expectStatus(401)
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { password: 'wrong' })
  await expect(page.getByRole('alert')).toContainText('Wrong user name or password.')
  await expect(page.locator('.note')).toContainText('homelab refused this sign-in for alice@pve.')
  await expect(page.getByLabel('User name')).toHaveValue('alice')
  await expect(page.getByLabel('Realm')).toHaveValue('pve')
  await expect(page.getByLabel('Password', { exact: true })).toHaveValue('')
  await berth.fillIn(page, {})
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test.describe('before a cluster is connected', () => {
  test.use({ connected: false })

  test('the page says how to connect one @both', async ({ page, berth }) => {
    await page.goto(berth.url)
    await expect(page.getByRole('heading', { name: 'Connect a cluster' })).toBeVisible()
    await expect(page.getByRole('listitem')).toHaveCount(3)
    await page.getByRole('link', { name: 'Look again' }).click()
    await expect(page.getByRole('heading', { name: 'Connect a cluster' })).toBeVisible()
  })
})

test('an empty field says so beside itself @both', async ({ page, berth }) => {
  berth.expectStatus(422)
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { password: '' })
  await expect(page.getByText('Enter your password.')).toBeVisible()
  await berth.fillIn(page, { user: '' })
  await expect(page.getByText('Enter your user name.')).toBeVisible()
})

test('who is signed in is not asked again, and signing out ends it in the browser and in the store @both', async ({ page, berth, context }) => {
  await berth.signIn(page)
  await page.goto(`${berth.url}/login`)
  await expect(page).toHaveURL(`${berth.url}/`)
  const before = await context.cookies()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page).toHaveURL(`${berth.url}/login`)
  await context.addCookies(before)
  await page.goto(berth.url)
  await expect(page).toHaveURL(`${berth.url}/login`)
})

test('an expired ticket leads to the sign-in form, and nothing is done @both', async ({ page, berth }) => {
  berth.expectStatus(401)
  await berth.signIn(page)
  await berth.cluster.expireTickets()
  await page.getByRole('button', { name: 'Start web', exact: true }).click()
  await expect(page).toHaveURL(`${berth.url}/login`)
  expect(await berth.cluster.writes()).toEqual([])
  await berth.fillIn(page, {})
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('a cluster whose certificate has changed gets no password @both', async ({ page, berth }) => {
  berth.expectStatus(502)
  await page.goto(`${berth.url}/login`)
  await berth.cluster.send('POST', 'certificate', { mode: 'new' })
  await berth.cluster.send('DELETE', 'requests')
  // the realms are remembered for a minute, so the form is whole; the sign-in itself is what must not happen
  await berth.fillIn(page, {})
  await expect(page.getByRole('alert').first()).toContainText('The certificate of homelab is not the one Berth trusts.')
  const { requests } = await berth.cluster.send('GET', 'requests')
  expect(requests).toEqual([])
})

test('the theme is switched and stays @both', async ({ page, berth }) => {
  await page.goto(`${berth.url}/login`)
  await berth.ready(page)
  await page.getByRole('button', { name: /Theme/ }).click()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light')
  await page.getByRole('button', { name: /Theme/ }).click()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  if (hasJavaScript()) await expect(page.getByRole('button', { name: 'Show password' })).toBeVisible()
  else await expect(page.getByRole('button', { name: 'Show password' })).toBeHidden()
})

test.describe('with a second factor', () => {
  // a code is good for half a minute of the cluster's time
  test.use({ speed: 1 })

  test('the code of an app signs in, as it is pasted and by keyboard alone, and leads where one wanted to go @both', async ({ page, berth }) => {
    await page.goto(`${berth.url}/?tag=prod`)
    await berth.fillIn(page, { user: 'twofactor' })
    await expect(page.getByRole('heading', { name: 'Second factor' })).toBeVisible()
    await expect(page.getByText('Signing in as twofactor@pve at cluster homelab')).toBeVisible()
    await berth.ready(page)
    const field = page.getByLabel('Code')
    await expect(field).toBeFocused()
    const code = codeOfApp()
    await page.keyboard.insertText(`${code.slice(0, 3)} ${code.slice(3)}`)
    await page.keyboard.press('Enter')
    await expect(page).toHaveURL(`${berth.url}/?tag=prod`)
    await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
  })

  test('a wrong code is refused beside its field, time and again, and nothing but the code is lost @both', async ({ page, berth }) => {
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'twofactor' })
    const field = page.getByLabel('Code')
    for (let attempt = 0; attempt < 2; attempt++) {
      await berth.ready(page)
      await field.fill('000000')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await expect(page.getByText('Proxmox refused this code. Enter the next one.')).toBeVisible()
      await expect(field).toHaveAccessibleDescription('Proxmox refused this code. Enter the next one.')
      await expect(field).toBeFocused()
      await expect(field).toHaveValue('')
      await expect(page.getByText('Signing in as twofactor@pve')).toBeVisible()
    }
    await berth.ready(page)
    await field.fill(codeOfApp())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
  })
})

test('a recovery key signs in once @both', async ({ page, berth, context }) => {
  const enter = async (key: string) => {
    await page.goto(`${berth.url}/login`)
    await berth.fillIn(page, { user: 'twofactor' })
    await page.getByRole('link', { name: 'Use a recovery key' }).click()
    await expect(page.getByLabel('Recovery key')).toBeFocused()
    await berth.ready(page)
    await page.getByLabel('Recovery key').fill(key)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  await enter('1111-2222-3333-4444')
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
  await context.clearCookies()
  await enter('1111 2222 3333 4444')
  await expect(page.getByText('Proxmox refused this key. Each one works once.')).toBeVisible()
  await page.getByRole('link', { name: 'Use a code' }).click()
  await expect(page.getByLabel('Code')).toBeFocused()
})

test('a second factor that comes too late leads back to the password, with a sentence @both', async ({ page, berth, context }) => {
  await page.goto(`${berth.url}/login?next=/%3Ftag%3Dprod`)
  await berth.fillIn(page, { user: 'twofactor' })
  await expect(page.getByLabel('Code')).toBeVisible()
  await berth.ready(page)
  // as its browser does after five minutes
  await context.clearCookies()
  await page.getByLabel('Code').fill('123456')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('alert')).toHaveText('This sign-in has expired. Enter your password again.')
  await expect(page.getByLabel('User name')).toHaveValue('twofactor')
  await berth.fillIn(page, {})
  await expect(page).toHaveURL(`${berth.url}/?tag=prod`)
})

test('who has no second factor at hand goes back to the sign-in form @both', async ({ page, berth }) => {
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { user: 'twofactor' })
  await page.getByRole('link', { name: 'Cancel' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await expect(page.getByRole('alert')).toHaveCount(0)
  await berth.fillIn(page, {})
  await expect(page.getByRole('heading', { name: 'Containers', exact: true })).toBeVisible()
})

test('an account whose only second factor is a key is told so @both', async ({ page, berth }) => {
  berth.expectStatus(401)
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { user: 'yubikey', realm: 'corp' })
  await expect(page.getByRole('alert')).toHaveText('Your second factor is a Yubico key, which Berth cannot ask for.')
})

test('a code is sent once, however often the button is pressed', async ({ page, berth }) => {
  await page.goto(`${berth.url}/login`)
  await berth.fillIn(page, { user: 'twofactor' })
  await expect(page.getByLabel('Code')).toBeVisible()
  await berth.ready(page)
  await berth.cluster.send('DELETE', 'requests')
  await berth.cluster.fault({ path_contains: 'access/ticket', action: { kind: 'slow', seconds: 1 } })
  await page.getByLabel('Code').fill('000000')
  // within the page: what is outside waits for the next one
  const button = await page.evaluate(() => {
    const button = document.querySelector<HTMLButtonElement>('.btn-primary')!
    for (let press = 0; press < 3; press++) button.click()
    return button.innerText
  })
  expect(button).toBe('Signing in…')
  await page.keyboard.press('Enter')
  await expect(page.getByText('Proxmox refused this code.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible()
  const { requests } = await berth.cluster.send('GET', 'requests')
  expect(requests.length).toBe(1)
})
