// Where a point of the picture stands on the screen, by turns of a quarter clockwise and then, perhaps, a flip of left
// and right. Both change what is seen and nothing else: pictures, maps and answers are those of the file.
// Points are fractions, (0, 0) at the top left: of the picture, or of the picture as it is shown.

function shownAt({ turns, flipped }, [x, y]) {
  for (let turn = 0; turn < turns; turn++) [x, y] = [1 - y, x];
  return [flipped ? 1 - x : x, y];
}

function pictureAt({ turns, flipped }, [x, y]) {
  if (flipped) x = 1 - x;
  for (let turn = 0; turn < turns; turn++) [x, y] = [y, 1 - x];
  return [x, y];
}

// One more turn, as the eye sees it: under a flip the picture itself turns the other way.
function turnedOnce({ turns, flipped }) {
  return { turns: (turns + (flipped ? 3 : 1)) % 4, flipped };
}

// The sides of the picture as it is shown, in widths of its pixels; aspect: a pixel's height over its width.
function sidesOf({ turns }, [height, width], aspect) {
  return turns % 2 ? [height * aspect, width] : [width, height * aspect];
}

function orientationWords({ turns, flipped }) {
  const words = [];
  if (turns) words.push(`rotated ${90 * turns}°`);
  if (flipped) words.push("flipped left to right");
  return words.join(", ");
}
