import { describe, expect, test } from "vitest";
import { backportsSource, planInstall } from "../../scripts/apt.mjs";

const debian = { id: "debian", codename: "bookworm" };
const stanzas = `
Types: deb
# a snapshot would stand here
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;
const thirdParty = "deb [signed-by=/usr/share/keyrings/other.gpg] https://other.example/apt bookworm main\n";

describe("the backports source", () => {
  test("is Debian's own stanza with the suite changed", () => {
    expect(backportsSource([thirdParty, stanzas], "bookworm")).toBe(
      "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n" +
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
    );
  });

  test("comes from one-line sources too, mirror lists included", () => {
    const lines =
      "# deb http://old.example/debian bookworm main\n" +
      "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main non-free\n" +
      "deb mirror+file:/etc/apt/mirrors/debian.list bookworm-updates main\n" +
      "deb-src http://src.example/debian bookworm main\n";
    expect(backportsSource([thirdParty, lines], "bookworm")).toBe(
      "Types: deb\nURIs: mirror+file:/etc/apt/mirrors/debian.list\nSuites: bookworm-backports\nComponents: main\n",
    );
  });

  test("keeps a key that stands in the stanza itself", () => {
    const key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----";
    const text = `Types: deb\nURIs: http://a.example/debian/\nSuites: bookworm\nComponents: main\nSigned-By:${key}\n`;
    expect(backportsSource([text], "bookworm")).toContain(
      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END",
    );
  });

  test("is not made of disabled, foreign-suite or security sources", () => {
    const disabled = stanzas.replace("Types: deb\n#", "Enabled: no\nTypes: deb\n#");
    expect(
      backportsSource([disabled, "deb http://a.example/debian trixie main"], "bookworm"),
    ).toBeUndefined();
  });
});

describe("the plan", () => {
  const both = { browser: true, lavapipe: true };

  test("Debian 12 takes lavapipe from backports", () => {
    const plan = planInstall(debian, both, { "mesa-vulkan-drivers": "22.3.6-1+deb12u2", chromium: "156.0" }, [
      stanzas,
    ]);
    expect(plan).toMatchObject([
      { packages: ["mesa-vulkan-drivers"], suite: "bookworm-backports" },
      { packages: ["chromium"] },
    ]);
  });

  test("a new enough Mesa comes from where it is", () => {
    const plan = planInstall(
      { ...debian, codename: "trixie" },
      both,
      { "mesa-vulkan-drivers": "25.0.7-2", chromium: "1" },
      [],
    );
    expect(plan).toEqual([{ packages: ["mesa-vulkan-drivers"] }, { packages: ["chromium"] }]);
  });

  test("Ubuntu's Chromium, a snap, is left alone", () => {
    const ubuntu = { id: "ubuntu", codename: "noble" };
    const plan = planInstall(
      ubuntu,
      both,
      { "mesa-vulkan-drivers": "25.0.7-0ubuntu0.24.04.2", chromium: "2:1snap1" },
      [],
    );
    expect(plan).toEqual([{ packages: ["mesa-vulkan-drivers"] }]);
  });

  test("nothing wanted or nothing to be had: nothing done", () => {
    expect(planInstall(debian, { browser: false, lavapipe: false }, {}, [stanzas])).toEqual([]);
    expect(planInstall(debian, both, { "mesa-vulkan-drivers": "22.3.6" }, [])).toEqual([]);
  });
});
