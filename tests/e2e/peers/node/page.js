// Opens the health page as a person does and says what is there, as one line of JSON.
// node page.js URL PICTURE WIDTH SCHEME [SECONDS]
'use strict';
const fs = require('fs');
const { chromium } = require('playwright-core');

// Rules for WCAG 2.2, levels A and AA, and what its makers call best practice.
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [url, picture, width, scheme, seconds = '0'] = process.argv.slice(2);
const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

async function main() {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: quiet });
  const page = await browser.newPage({ viewport: { width: Number(width), height: 900 }, colorScheme: scheme });
  const complaints = [];
  const foreign = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => { if (new URL(request.url()).origin !== new URL(url).origin) foreign.push(request.url()); });
  await page.goto(url);
  const before = await page.textContent('#flow');
  const plain = await withoutScript(browser);
  // The page is not loaded again: what is different after this came as events.
  if (Number(seconds) > 0) {
    const changed = (text) => document.querySelector('#flow').textContent !== text;
    await page.waitForFunction(changed, before, { timeout: Number(seconds) * 1000 });
  }
  const seen = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    light: document.querySelector('h1').className,
    headline: document.querySelector('h1').textContent,
    advice: [...document.querySelectorAll('.do li')].map((item) => item.textContent),
    sections: [...document.querySelectorAll('h2')].map((heading) => heading.textContent),
    text: document.body.innerText,
    spills: document.documentElement.scrollWidth > window.innerWidth,
    stale: !document.getElementById('stale').hidden,
    unnamed: [...document.querySelectorAll('a, svg, [role=region]')]
      .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label'))).length,
  }));
  // As a person without a mouse goes through it: everything that can be reached shows that it is reached.
  const reached = [];
  for (let at = 0; at < 20; at += 1) {
    await page.keyboard.press('Tab');
    const here = await page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return null;
      const style = getComputedStyle(node);
      const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
      return { tag: node.tagName, name: node.getAttribute('aria-label') || node.textContent.trim(), shown };
    });
    if (here === null) break;
    reached.push(here);
  }
  const focus = reached.length ? reached[0].tag : null;
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: picture, fullPage: true });
  // What a screen reader is told, as a tree of roles and names.
  const tree = await page.locator('body').ariaSnapshot();
  await page.evaluate(axe);
  const judged = await page.evaluate(() => window.axe.run(document));
  const violations = judged.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
  await browser.close();
  console.log(JSON.stringify({ ...seen, focus, reached, tree, violations, plain, checks: judged.passes.length, complaints, foreign }));
}

// The same page where nothing runs.
async function withoutScript(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  const text = { headline: await page.locator('h1').innerText(), flow: await page.locator('#flow').innerText(),
    devices: await page.locator('table').first().innerText() };
  await context.close();
  return text;
}

main().catch((error) => { console.error(error); process.exit(1); });
