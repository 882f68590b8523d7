// The scripts of the page driver: the layout survey, contrast as it is seen, and the watch for
// rest.
#include "loop/senses/page_survey.h"

#include <string>

namespace lathe::loop {
namespace {

// Contrast as WCAG has it, of the colours that a text ends up with: what is behind it is laid over
// one another in the order in which it is painted, with the opacity of every group. Decides as
// axe-core does: pass, fail, nothing to decide (disabled, not visible), or not known, with why.
constexpr std::string_view kContrast = R"js(
const colours = new Map(), brush = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = text => {
  if (colours.has(text)) return colours.get(text);
  const m = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(text);
  let colour = m && [+m[1], +m[2], +m[3], m[4] === undefined ? 1 : +m[4]];
  if (!colour) {  // of another colour space: what the engine itself makes of it
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = '#000';
    brush.fillStyle = text;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    colour = [r, g, b, a / 255];
  }
  colours.set(text, colour);
  return colour;
};
const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (one, other) => { const a = light(one), b = light(other); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
const up = e => e.assignedSlot || e.parentElement || (e.getRootNode().host ?? null);

const elements = [], infos = new Map();
const gather = e => {
  const style = getComputedStyle(e), above = infos.get(up(e));
  const z = parseInt(style.zIndex), placed = style.position !== 'static';
  const item = above && /flex|grid/.test(above.style.display);
  const opacity = +style.opacity;
  const context = !above || /fixed|sticky/.test(style.position) || ((placed || item) && !isNaN(z)) || opacity < 1
    || style.transform !== 'none' || style.filter !== 'none' || style.mixBlendMode !== 'normal'
    || style.isolation === 'isolate' || style.clipPath !== 'none' || style.backdropFilter !== 'none';
  const info = {e, style, above, context, index: elements.length, rect: e.getBoundingClientRect(), opacity};
  const level = (placed || item) && !isNaN(z) && z !== 0 ? z : 0.5;
  if (!above) info.path = info.real = [];
  else if (context || placed) {
    info.path = [...above.real, [level, info.index]];
    info.real = context ? info.path : above.real;
  } else {
    info.path = style.float !== 'none' ? [...above.path, [0.2, info.index]] : above.path;
    info.real = above.real;
  }
  const ground = rgba(style.backgroundColor);
  info.ground = ground[3] > 0 ? ground : null;
  info.why = style.backgroundImage !== 'none' ? (/gradient/.test(style.backgroundImage) ? 'a gradient lies behind it' : 'a picture lies behind it')
    : /^(IMG|CANVAS|VIDEO|OBJECT|EMBED|IFRAME|svg)$/.test(e.tagName) ? 'a picture lies behind it' : '';
  info.blend = style.filter !== 'none' || style.backdropFilter !== 'none' ? 'a filter changes it'
    : style.mixBlendMode !== 'normal' ? 'it is blended with what is behind it' : '';
  info.hidden = style.display !== 'contents' && !e.checkVisibility() || style.visibility !== 'visible' && style.visibility !== '' || opacity === 0 || !!above?.gone;
  info.gone = style.display === 'none' || opacity === 0 || !!above?.gone;  // with all that is in it
  info.pseudo = 0;
  for (const name of ['::before', '::after']) {
    const its = getComputedStyle(e, name);
    if (its.content === 'none' || its.content === 'normal' || its.display === 'none' || its.visibility === 'hidden' || !/absolute|fixed/.test(its.position)) continue;
    if (rgba(its.backgroundColor)[3] === 0 && its.backgroundImage === 'none') continue;
    info.pseudo = Math.max(info.pseudo, (parseFloat(its.width) || 0) * (parseFloat(its.height) || 0));
  }
  elements.push(info);
  infos.set(e, info);
  for (const root of [e.shadowRoot, e]) for (const child of root ? root.children : []) gather(child);
};
gather(document.documentElement);
// The body's background is the canvas's where the root has none of its own.
const canvas = infos.get(document.documentElement), body = document.body && infos.get(document.body);
if (body && !canvas.ground && !canvas.why) {
  [canvas.ground, canvas.why] = [body.ground, body.why];
  [body.ground, body.why] = [null, ''];
}
canvas.rect = new DOMRect(-1e6, -1e6, 2e6, 2e6);
const painted = elements.filter(i => (i.ground || i.why) && !i.hidden);
// Which of two is painted later: above 0 when a is.
const later = (a, b) => {
  const one = a.path, two = b.path;
  for (let i = 0; i < Math.max(one.length, two.length); ++i) {
    // A stacking context's own background is the lowest in it.
    const x = one[i] ?? [a.context ? -Infinity : 0, a.index], y = two[i] ?? [b.context ? -Infinity : 0, b.index];
    if (x[0] !== y[0]) return x[0] - y[0];
    if (x[1] !== y[1]) return x[1] - y[1];
  }
  return a.index - b.index;
};
const scrolls = style => /auto|scroll/.test(style.overflowX + style.overflowY);
const cuts = style => /hidden|clip/.test(style.overflowX + style.overflowY);
const holds = (r, x, y) => x >= r.left && x <= r.right && y >= r.top && y <= r.bottom;
const over = (top, ground) => {  // colours with their share already in them
  const rest = 1 - top[3];
  return [0, 1, 2, 3].map(k => top[k] + ground[k] * rest);
};
const shared = c => [c[0] * c[3], c[1] * c[3], c[2] * c[3], c[3]];
// The layers, the lowest first, each in the groups of opacity that it is in.
const flat = layers => {
  let open = [{at: null, sum: [255, 255, 255, 1], opacity: 1}];
  const close = () => { const g = open.pop(), to = open.at(-1); to.sum = over(g.sum.map(v => v * g.opacity), to.sum); };
  for (const {info, colour} of layers) {
    const groups = [];
    for (let at = info; at; at = at.above) if (at.opacity < 1) groups.unshift(at);
    let same = 0;
    while (same < groups.length && open[same + 1]?.at === groups[same]) ++same;
    while (open.length > same + 1) close();
    for (const g of groups.slice(same)) open.push({at: g, sum: [0, 0, 0, 0], opacity: g.opacity});
    open.at(-1).sum = over(shared(colour), open.at(-1).sum);
  }
  while (open.length > 1) close();
  return open[0].sum.slice(0, 3);
};
const within = (inner, outer) => { for (let at = inner; at; at = at.above) if (at === outer) return true; return false; };

// Where the points of a text lie for those that scroll it: [who, x, y], the innermost first.
const places = (info, x, y) => {
  const list = [];
  for (let at = info.above, inner = info; at; inner = at, at = at.above)
    if (scrolls(at.style) && at.e !== document.documentElement && at.e !== document.body && !holds(at.rect, x, y)) {
      list.push([at, x, y]);
      x = Math.min(Math.max(x, at.rect.left + 1), at.rect.right - 1);
      y = Math.min(Math.max(y, at.rect.top + 1), at.rect.bottom - 1);
    }
  list.push([null, x, y]);
  return list;
};
const disabled = e => {
  for (let at = e; at; at = up(at)) {
    if (at.inert || at.matches(':disabled') || at.getAttribute('aria-disabled') === 'true') return true;
    if (at.tagName === 'LABEL' && at.control && (at.control.disabled || at.control.getAttribute('aria-disabled') === 'true')) return true;
    if (at.id)
      for (const by of at.getRootNode().querySelectorAll('[aria-labelledby]'))
        if (by.getAttribute('aria-labelledby').split(/\s+/).includes(at.id) && (by.matches(':disabled') || by.getAttribute('aria-disabled') === 'true')) return true;
  }
  return false;
};
// The rectangles of a text that can be seen at all, if need be by scrolling.
const seen_rects = (info, rects) => rects.filter(r => {
  if (r.width <= 1 || r.height <= 1 || r.right + scrollX <= 0 || r.bottom + scrollY <= 0) return false;
  let {left, top, right, bottom} = r;
  for (let at = info, free = false; at && !free; at = at.above) {
    if (at.style.clip !== 'auto' && at.style.clip && at.style.position === 'absolute' && /rect\((0|1)px, (0|1)px, (0|1)px, (0|1)px\)/.test(at.style.clip)) return false;
    if (/inset\((50|100)%/.test(at.style.clipPath)) return false;
    if (at.e !== document.documentElement && at.e !== document.body && cuts(at.style) && !scrolls(at.style)) {
      left = Math.max(left, at.rect.left); right = Math.min(right, at.rect.right);
      top = Math.max(top, at.rect.top); bottom = Math.min(bottom, at.rect.bottom);
      if (right - left <= 1 || bottom - top <= 1) return false;
    }
    free = at.style.position === 'fixed' || scrolls(at.style) && at !== info;
  }
  return true;
});
// {contrast} | {why} | null where there is nothing to decide.
const contrast_at = (info, r) => {
  const spots = places(info, (r.left + r.right) / 2, (r.top + r.bottom) / 2), stack = [];
  for (const layer of painted) {
    const [, x, y] = spots.find(([who]) => !who || (within(layer, who) && layer !== who));
    if (layer.style.display === 'inline' ? ![...layer.e.getClientRects()].some(q => holds(q, x, y)) : !holds(layer.rect, x, y)) continue;
    if (!within(layer, info) && cut_away(layer, x, y)) continue;
    stack.push(layer);
  }
  stack.sort(later);
  const above = stack.filter(layer => layer !== info && later(layer, info) > 0 && !within(info, layer));
  if (above.some(layer => layer.why || layer.ground[3] > 0)) return {why: 'something lies over it'};
  const below = stack.filter(layer => !above.includes(layer));
  let lowest = below.length;
  while (lowest > 0) {
    const layer = below[--lowest];
    if (layer.why) return {why: layer.why};
    const part = layer.style.display !== 'inline' && !scrolls(layer.style) && holds(layer.rect, r.left + 1, r.top + r.height / 2) !== holds(layer.rect, r.right - 1, r.top + r.height / 2);
    if (part) return {why: 'it stands only partly on its background'};
    let whole = layer.ground[3] === 1;
    for (let at = layer; at; at = at.above) if (at.opacity < 1) whole = false;
    if (whole) break;
  }
  const used = below.slice(lowest);
  for (const layer of [info, ...used]) for (let at = layer; at; at = at.above) if (at.blend) return {why: at.blend};
  const ink = rgba(info.style.webkitTextFillColor || info.style.color);
  if (ink[3] === 0) return {why: 'its letters are transparent'};
  const layers = used.map(layer => ({info: layer, colour: layer.ground}));
  const ground = flat(layers), letters = flat([...layers, {info, colour: ink}]);
  return {contrast: ratio(letters, ground)};
};
const cut_away = (layer, x, y) => {
  for (let at = layer.above; at; at = at.above)
    if (cuts(at.style) && at.e !== document.documentElement && at.e !== document.body && !holds(at.rect, x, y)) return true;
  return false;
};
const contrast = (info, rects, text) => {
  if (info.hidden || !/[\p{L}\p{N}]/u.test(text)) return null;
  const shown = seen_rects(info, rects).slice(0, 12);
  if (!shown.length) return null;
  if (disabled(info.e)) return {exempt: true};
  const area = info.rect.width * info.rect.height;
  for (let at = info; at; at = at.above) if (at.pseudo > 0.25 * area) return {why: 'a ::before or ::after lies behind it'};
  let least = null;
  for (const r of shown) {
    const found = contrast_at(info, r);
    if (found.why) return found;
    if (!least || found.contrast < least.contrast) least = found;
  }
  const style = info.style, size = parseFloat(style.fontSize);
  least.large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
  if (least.contrast < (least.large ? 3 : 4.5)) {
    if (style.textShadow !== 'none') return {why: 'its letters have shadows'};
    if (parseFloat(style.webkitTextStrokeWidth) > 0) return {why: 'its letters have outlines'};
    if ([...text.trim()].length < 2) return {why: 'it is a single sign'};
  }
  return least;
};
)js";

constexpr std::string_view kLayout = R"js(
const root = document.scrollingElement || document.documentElement, W = innerWidth;
const short = s => (s || '').trim().replace(/\s+/g, ' ').slice(0, 80);
const box = r => [Math.round(r.left + scrollX), Math.round(r.top + scrollY), Math.round(r.width), Math.round(r.height)];
const out = {overflow: Math.max(root.scrollWidth, document.body ? document.body.scrollWidth : 0) - W,
  height: root.scrollHeight, inks: [], unknown: [], beyond: [], cut: [], links: [], images: [], hosts: [], text: '', words: []};
const add = (list, entry, most = 40) => { if (list.length < most) list.push(entry); };
const ink = new Map();  // of an element's own text: 'known', 'exempt' or ''
const range = document.createRange();
const rects_of = n => { range.selectNodeContents(n); return [...range.getClientRects()]; };
// Who scrolls sideways brings what stands beyond into view.
const brought = info => { for (let at = info.above; at && at.e !== document.body; at = at.above) if (/auto|scroll/.test(at.style.overflowX)) return true; return false; };
out.text = (document.body ? document.body.innerText : '').slice(0, 20000);
for (const info of elements) {
  const {e, style, rect: r} = info;
  if (e === document.documentElement || /^(HEAD|SCRIPT|STYLE|NOSCRIPT|TEMPLATE|META|LINK|TITLE|OPTION)$/.test(e.tagName)) {
    if (e.tagName === 'LINK' && /preconnect|dns-prefetch/i.test(e.rel)) add(out.hosts, short(e.href));
    continue;
  }
  if (info.hidden) continue;
  const texts = [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim()), own = texts.length > 0;
  const field = /^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName) && !/^(hidden|range|color|checkbox|radio|image|file)$/.test(e.type);
  const big = r.width > 1 && r.height > 1;
  if (big && (own || e.tagName === 'IMG') && (r.right > W + 1 || r.left + scrollX < -1 || r.top + scrollY < -1) && !brought(info))
    add(out.beyond, {text: short(e.innerText || e.alt || e.tagName), box: box(r)});
  if (big && own && /hidden|clip/.test(style.overflow + style.overflowX + style.overflowY) && style.textOverflow !== 'ellipsis'
      && (e.scrollWidth > e.clientWidth + 2 || e.scrollHeight > e.clientHeight + 2))
    add(out.cut, {text: short(e.innerText), box: box(r)});
  if (big && (own || field)) {
    const text = field && e.tagName !== 'TEXTAREA' ? (e.tagName === 'SELECT' ? e.selectedOptions[0]?.text || '' : e.value) : field ? e.value : texts.map(n => n.data).join(' ');
    const found = contrast(info, field ? [r] : texts.flatMap(rects_of), text);
    const shown = short(field ? text : e.innerText || text);
    ink.set(e, found?.exempt ? 'exempt' : found && found.contrast !== undefined ? 'known' : '');
    if (found?.why) add(out.unknown, {text: shown, box: box(r), why: found.why});
    else if (found && found.contrast < 7) add(out.inks, {text: shown, box: box(r), contrast: found.contrast, large: found.large}, 400);
  }
  if (e.tagName === 'A') {
    const href = (e.getAttribute('href') || '').trim();
    const anchor = href.startsWith('#') && href.length > 1
      && href !== '#top' && !(document.getElementById(decodeURIComponent(href.slice(1))) || document.getElementsByName(href.slice(1)).length);
    if (href === '' || href === '#' || /^javascript:/i.test(href) || anchor)
      add(out.links, {text: short(e.innerText), href: short(href), box: box(r)});
  }
  if (e.tagName === 'IMG' && (!e.complete || e.naturalWidth === 0))
    add(out.images, {text: short(e.alt || e.getAttribute('src')), box: box(r)});
}
// Where the words of the page stand, as far as they are within it.
const walker = document.createTreeWalker(document.body || root, NodeFilter.SHOW_TEXT);
for (let n; (n = walker.nextNode()) && out.words.length < 3000;) {
  const info = n.parentElement && infos.get(n.parentElement);
  if (!info || info.hidden || /^(SCRIPT|STYLE|NOSCRIPT)$/.test(n.parentElement.tagName)) continue;
  for (const m of n.data.matchAll(/\S+/g)) {
    range.setStart(n, m.index); range.setEnd(n, m.index + m[0].length);
    const r = range.getBoundingClientRect();
    if (r.width > 1 && r.height > 1 && r.left >= 0 && r.right <= W) out.words.push({text: m[0].slice(0, 80), box: box(r), ink: ink.get(n.parentElement) || ''});
    if (out.words.length >= 3000) break;
  }
}
return JSON.stringify(out);
)js";

constexpr std::string_view kRestWatch = R"js((() => {
const now = performance.now.bind(performance), clear = {}, due = new Map(), deep = new Set();
let changed = now(), depth = 0;
const watch = (name, undo, repeats) => {
  const real = window[name];
  window[name] = {[name](task, time, ...rest) {
    const level = depth + 1;
    const run = typeof task !== 'function' ? task : function (...all) {
      const before = depth;
      depth = level;
      if (!repeats) { due.delete(id); deep.delete(id); }
      try { return task.apply(this, all); } finally { depth = before; }
    };
    const id = real.call(window, run, time, ...rest);
    if (repeats || level > 5) deep.add(id); else due.set(id, now() + Math.max(0, +time || 0));
    return id;
  }}[name];
  const undone = window[undo];
  window[undo] = {[undo](id) { due.delete(id); deep.delete(id); return undone.call(window, id); }}[undo];
};
watch('setTimeout', 'clearTimeout', false);
watch('setInterval', 'clearInterval', true);
new MutationObserver(() => { changed = now(); }).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
// Calls to other machines that no debugger tells of.
const calls = [];
if (window.RTCPeerConnection)
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {construct(real, all) {
    for (const server of all[0]?.iceServers || []) for (const url of [server.urls].flat()) if (calls.length < 20) calls.push(String(url));
    if (!calls.length) calls.push('other machines by RTCPeerConnection');
    return new real(...all);
  }});
Object.defineProperty(window, Symbol.for('lathe.rest'), {value: () => {
  const at = now(), waits = [...due.values()].filter(t => t > at - 50).map(t => t - at);
  const ends = document.getAnimations().filter(a => a.playState === 'running' && a.timeline instanceof DocumentTimeline)
    .map(a => a.effect.getComputedTiming().endTime - (+a.currentTime || 0)).filter(Number.isFinite);
  const loading = [...document.images].some(i => !i.complete && i.loading !== 'lazy') || document.fonts.status === 'loading';
  let state = {changed: at - changed, due: Math.min(...waits, ...ends, 1e9), repeats: deep.size > 0, loading, calls};
  for (let i = 0; i < frames.length; ++i)
    try {
      const its = frames[i][Symbol.for('lathe.rest')]();
      state = {changed: Math.min(state.changed, its.changed), due: Math.min(state.due, its.due), repeats: state.repeats || its.repeats, loading: state.loading || its.loading, calls: [...state.calls, ...its.calls]};
    } catch {}
  return state;
}});
})())js";

}  // namespace

std::string_view page_survey() {
  static const std::string survey =
      "(() => {" + std::string(kContrast) + std::string(kLayout) + "})()";
  return survey;
}

std::string_view rest_watch() {
  return kRestWatch;
}

std::string_view rest_question() {
  return "window[Symbol.for('lathe.rest')]()";
}

}  // namespace lathe::loop
