// The browser tests use the system's Chrome or Chromium (scripts/drivers.mjs finds it), so nothing is downloaded here.
module.exports = { skipDownload: true };
