// Choosing a part of the picture that is searched with, by dragging over it.

/** Smaller than this share of a side is a slip of the hand. */
const LEAST = 0.04;

const between = (value) => Math.min(1, Math.max(0, value));

/**
 * Lets a part of a picture be chosen.
 *
 * @param {HTMLElement} frame Holds the picture and fits it exactly.
 * @param {HTMLElement} selection Shows the part; a child of `frame`.
 * @param {(crop: {x: number, y: number, width: number, height: number}) => void} onCrop Told of each choice.
 * @returns {{choose: (on: boolean) => void, show: (crop: object | null) => void}}
 */
export function cropping(frame, selection, onCrop) {
  let from = null;
  let shown = null;

  const place = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: between((event.clientX - box.left) / box.width), y: between((event.clientY - box.top) / box.height) };
  };

  const partTo = (to) => {
    const x = Math.min(from.x, to.x);
    const y = Math.min(from.y, to.y);
    // Of two sums of fractions, the service takes no more than 1.
    return { x, y, width: Math.min(1 - x, Math.abs(from.x - to.x)), height: Math.min(1 - y, Math.abs(from.y - to.y)) };
  };

  const draw = (crop) => {
    selection.hidden = crop === null;
    if (crop === null) return;
    for (const [side, share] of Object.entries({ left: crop.x, top: crop.y, width: crop.width, height: crop.height })) {
      selection.style[side] = `${share * 100}%`;
    }
  };

  frame.addEventListener("pointerdown", (event) => {
    if (!frame.classList.contains("choosing") || event.button !== 0) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    from = place(event);
    draw(partTo(from));
  });
  frame.addEventListener("pointermove", (event) => {
    if (from) draw(partTo(place(event)));
  });
  frame.addEventListener("pointerup", (event) => {
    if (!from) return;
    const crop = partTo(place(event));
    from = null;
    if (crop.width < LEAST || crop.height < LEAST) draw(shown);
    else onCrop(crop);
  });
  frame.addEventListener("pointercancel", () => {
    from = null;
    draw(shown);
  });

  return {
    choose: (on) => frame.classList.toggle("choosing", on),
    show: (crop) => {
      shown = crop;
      draw(crop);
    },
  };
}
