/** Numbers in words, and colours. */
import { describe, expect, test } from "vitest";
import { magnitude, signed } from "../../../demo/ui/colormap.js";
import { duration, fixed, integer, number, percent, scientific } from "../../../demo/ui/format.js";

describe("numbers", () => {
  test.each([
    [0, "0"],
    [1, "1.00"],
    [-2.5, "−2.50"],
    [85.7581, "85.8"],
    [999.6, "1000"],
    [0.0312, "0.0312"],
    [9.9999, "10.0"],
    [0.001, "0.00100"],
    [0.00099, "9.90 × 10⁻⁴"],
    [123456, "1.23 × 10⁵"],
    [-4.1e-8, "−4.10 × 10⁻⁸"],
    [Number.NaN, "not a number"],
    [Number.POSITIVE_INFINITY, "∞"],
    [Number.NEGATIVE_INFINITY, "−∞"],
  ])("%d is %s", (value, text) => {
    expect(number(value)).toBe(text);
  });

  test("whatever is written, reading it back gives the number to that many digits", () => {
    for (let k = -300; k <= 300; k++) {
      const value = 1.2345678 * 10 ** (k / 20) * (k % 2 ? -1 : 1);
      const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
      const plain = number(value, 4)
        .replaceAll("−", "-")
        .replace(
          / × 10(.*)$/,
          (_, power: string) =>
            `e${power.replace("⁻", "-").replace(/[⁰¹²³⁴-⁹]/gu, (digit) => String(digits.indexOf(digit)))}`,
        );
      expect(Math.abs(Number(plain) / value - 1)).toBeLessThan(5.1e-4);
    }
  });

  test("other forms", () => {
    expect(scientific(6e-8)).toBe("6.0 × 10⁻⁸");
    expect(fixed(-0.126)).toBe("−0.13");
    expect(percent(0.9345)).toBe("93.5 %");
    expect(integer(1234567)).toBe("1\u202f234\u202f567");
    expect([0.4, 23.4, 1240, 125_000].map(duration)).toEqual(["0.40 ms", "23 ms", "1.24 s", "2 min 05 s"]);
  });
});

describe("colours", () => {
  const luminance = ([red, green, blue]: readonly number[]) =>
    0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;

  test("magnitudes get lighter all the way", () => {
    const steps = Array.from({ length: 33 }, (_, k) => luminance(magnitude(k / 32)));
    for (let k = 1; k < steps.length; k++) expect(steps[k]!).toBeGreaterThan(steps[k - 1]!);
  });

  test.each(["light", "dark"] as const)(
    "signs have colours of their own and leave the paper evenly: %s",
    (theme) => {
      const zero = signed(0, theme);
      const away = (position: number) => Math.abs(luminance(signed(position, theme)) - luminance(zero));
      for (let k = 1; k <= 16; k++) {
        expect(away(k / 16)).toBeGreaterThan(away((k - 1) / 16));
        expect(away(-k / 16)).toBeGreaterThan(away((1 - k) / 16));
        const [positive, negative] = [signed(k / 16, theme), signed(-k / 16, theme)];
        expect(positive[0]).toBeGreaterThan(negative[0]);
        expect(negative[2]).toBeGreaterThan(positive[2]);
      }
    },
  );

  test("what lies outside the scale gets the colour of its end, and what is no number that of zero", () => {
    expect(magnitude(7)).toEqual(magnitude(1));
    expect(signed(-3, "light")).toEqual(signed(-1, "light"));
    expect(signed(Number.NaN, "light")).toEqual(signed(0, "light"));
  });
});
