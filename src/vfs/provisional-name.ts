/**
 * Names that programs give to a file until it is whole, and then rename it: nothing of such a file is uploaded before,
 * because an upload cannot follow a rename, and all of it would have to be sent again. Pure.
 */

/** rsync's `.NAME.XXXXXX`, browsers, aria2, rclone, git, apt, and what calls itself temporary. */
const provisional =
  /^\.(?:.+)\.[A-Za-z0-9]{6}$|^tmp_(?:pack|idx|obj)_|\.(?:part|partial|crdownload|download|opdownload|filepart|tmp|temp|swp|incomplete)$|^\.~/i;

export function isProvisionalName(name: string): boolean {
  return provisional.test(name);
}
