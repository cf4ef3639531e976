// Scrolls through the slices of a case: three planes that know of each other.
// All it reads are numbers, path data and words made by overlays.py; names of cases and labels are never code.
"use strict";

const STEP = 40; // pixels of a wheel or a trackpad for one slice
const STILL = 250; // milliseconds after which a page is no longer being scrolled

function plane(figure) {
  const data = figure.dataset;
  const numbers = (text) => text.split(" ").map(Number);
  const unpack = (text) => text.split("|").map((slice) => slice.split(";").filter(Boolean).map((part) => part.split(":")));
  return {
    axes: numbers(data.axes), // cut, right, up
    box: numbers(data.box), // width and height in half voxels
    tile: numbers(data.tile), // width, height, pitch across, pitch down, columns, margin
    offsets: numbers(data.offsets), // voxels from the low end of the box
    words: data.words.split("|"),
    at: Number(data.first),
    tiles: figure.querySelector(".sheet"),
    drawing: figure.querySelector(".picture"),
    range: figure.querySelector("input"),
    text: figure.querySelector("output"),
    paths: [...figure.querySelectorAll("path[data-role]")].map((path) => ({ path, slices: unpack(path.dataset.slices) })),
    cross: [...figure.querySelectorAll("path[data-cross]")],
  };
}

function viewer(element) {
  const planes = [...element.querySelectorAll(".plane")].map(plane);
  const chosen = element.querySelector("select");

  function draw(p) {
    const [width, height, across, down, columns, margin] = p.tile;
    const x = (p.at % columns) * across + margin;
    const y = Math.floor(p.at / columns) * down + margin;
    p.tiles.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    const label = chosen ? chosen.value : "";
    for (const { path, slices } of p.paths) {
      const shown = slices[p.at].filter(([id]) => !label || id === label);
      path.setAttribute("d", shown.map(([, line]) => line).join(""));
    }
    p.range.value = p.at;
    p.range.setAttribute("aria-valuetext", p.words[p.at]);
    p.text.textContent = p.words[p.at];
  }

  function drawCross() {
    for (const p of planes) {
      const [x, y] = [1, 2].map((side) => {
        const other = planes.find((q) => q.axes[0] === p.axes[side]);
        return p.box[side - 1] - 2 * other.offsets[other.at] - 1;
      });
      p.cross[0].setAttribute("d", `M${x} 0V${p.box[1]}`);
      p.cross[1].setAttribute("d", `M0 ${y}H${p.box[0]}`);
    }
  }

  function show(p, at) {
    const next = Math.max(0, Math.min(p.offsets.length - 1, at));
    if (next === p.at) return;
    p.at = next;
    draw(p);
    drawCross();
  }

  // The other two planes go to the point that is pointed at.
  function point(p, event) {
    const frame = p.drawing.getBoundingClientRect();
    const shares = [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    for (const side of [1, 2]) {
      const voxel = ((1 - shares[side - 1]) * p.box[side - 1] - 1) / 2;
      const other = planes.find((q) => q.axes[0] === p.axes[side]);
      const away = other.offsets.map((offset) => Math.abs(offset - voxel));
      show(other, away.indexOf(Math.min(...away)));
    }
  }

  for (const p of planes) {
    let touch = null;
    let turned = 0;
    p.range.addEventListener("input", () => show(p, Number(p.range.value)));
    p.drawing.addEventListener("wheel", (event) => {
      // A page that is being scrolled is not stopped by a picture that comes under the pointer, nor at the last slice.
      if (event.ctrlKey || !event.deltaY || performance.now() - scrolled < STILL) return;
      const next = p.at + Math.sign(event.deltaY);
      if (next < 0 || next >= p.offsets.length) return;
      event.preventDefault();
      turned += event.deltaMode ? Math.sign(event.deltaY) * STEP : event.deltaY;
      if (Math.abs(turned) < STEP) return;
      turned = 0;
      show(p, next);
    }, { passive: false });
    p.drawing.addEventListener("pointerdown", (event) => {
      touch = { x: event.clientX, at: p.at, moved: false, mouse: event.pointerType === "mouse" };
      p.drawing.setPointerCapture(event.pointerId);
      p.range.focus({ preventScroll: true });
      if (touch.mouse) point(p, event);
      event.preventDefault();
    });
    p.drawing.addEventListener("pointermove", (event) => {
      if (!touch) return;
      if (touch.mouse) return point(p, event);
      const steps = Math.round(((event.clientX - touch.x) / p.drawing.clientWidth) * p.offsets.length);
      touch.moved ||= steps !== 0;
      show(p, touch.at + steps);
    });
    p.drawing.addEventListener("pointerup", (event) => {
      if (touch && !touch.mouse && !touch.moved) point(p, event);
      touch = null;
    });
    p.drawing.addEventListener("pointercancel", () => { touch = null; });
  }
  for (const box of element.querySelectorAll("input[type=checkbox]")) {
    box.addEventListener("change", () => element.classList.toggle(`without-${box.value}`, !box.checked));
  }
  if (chosen) chosen.addEventListener("change", () => planes.forEach(draw));
  planes.forEach(draw);
  drawCross();
  element.classList.add("live");
}

let scrolled = -Infinity;
addEventListener("scroll", () => { scrolled = performance.now(); }, { passive: true });
document.querySelectorAll(".viewer").forEach(viewer);
