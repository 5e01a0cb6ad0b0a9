// What a person who sees little, or nothing, meets in a page: names of what can be used, contrast, and room.

const USABLE = new Set(["button", "link", "textbox", "searchbox", "combobox", "checkbox", "img", "table", "dialog", "navigation", "figure",
    "DisclosureTriangle"]);

// What Chromium's accessibility tree has, as [role, name] of what is not ignored.
export async function tree(page) {
    const devtools = await page.context().newCDPSession(page);
    const {nodes} = await devtools.send("Accessibility.getFullAXTree");
    await devtools.detach();
    return nodes.filter((node) => !node.ignored).map((node) => [node.role?.value, (node.name?.value ?? "").trim()]);
}

export const nameless = (nodes) => nodes.filter(([role, name]) => USABLE.has(role) && !name).map(([role]) => role);

// Texts whose contrast with their ground is less than AA asks for: 4.5, or 3 of large ones.
export const faint = (page) => page.evaluate(() => {
    const parse = (colour) => {
        const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
        return {rgb: [r, g, b], a};
    };
    const over = (top, below) => top.rgb.map((value, i) => value * top.a + below[i] * (1 - top.a));
    const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (node) => {
        if (!node) return [255, 255, 255];
        const own = parse(getComputedStyle(node).backgroundColor);
        return own.a === 1 ? own.rgb : over(own, ground(node.parentElement));
    };
    const told = [];
    for (const node of document.querySelectorAll("body *")) {
        const text = [...node.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data.trim()).join("");
        if (!text || !node.checkVisibility() || node.closest("noscript, option")) continue;
        const style = getComputedStyle(node);
        const below = ground(node);
        const [a, b] = [light(over(parse(style.color), below)), light(below)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) told.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return told;
});

// How many pixels the page is wider than its window, and what sticks out.
export const tooWide = (page) => page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")].filter((n) => n.getBoundingClientRect().right > width + 1)
        .map((n) => `${n.tagName}.${n.className} ${n.getBoundingClientRect().right}`).slice(0, 5);
});
