# npm: packs a package, installs it from its tarball and another one by a link, with its cache beside; without the network.
needs=(npm:npm node:nodejs)
limit=120

export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
export npm_config_userconfig=/dev/null npm_config_cache="$place/cache" npm_config_loglevel=error

package() {
  mkdir -p "$1/lib"
  cat >"$1/package.json"
  local i
  for i in $(seq "$files"); do echo "module.exports = $i;" >"$1/lib/part-$i.js"; done
  {
    echo '#!/usr/bin/env node'
    echo 'let sum = 0;'
    echo "for (let i = 1; i <= $files; i++) sum += require('./lib/part-' + i);"
    echo 'if (require.main === module) console.log(sum);'
    echo 'module.exports = sum;'
  } >"$1/index.js"
  chmod 755 "$1/index.js"
}

work() {
  package packed <<<'{ "name": "packed", "version": "1.2.3", "main": "index.js", "bin": { "packed-sum": "index.js" } }'
  package linked <<<'{ "name": "linked", "version": "0.1.0", "main": "index.js", "bin": "index.js" }'
  npm pack --silent ./packed >/dev/null
  mkdir app
  echo '{ "name": "app", "version": "1.0.0", "private": true, "scripts": { "sum": "packed-sum" } }' >app/package.json
  cd app
  npm install ../packed-1.2.3.tgz ../linked >/dev/null
  cd ..
  look
  same "$sum" "$(cd app && npx --no packed-sum)" 'what npx runs'
  # From the lock file and the cache.
  (cd app && npm ci >/dev/null)
  look
}

look() {
  cd "$place/app"
  same "$sum $sum" "$(node -p "require('packed') + ' ' + require('linked')")" 'what is required'
  same "$sum" "$(npm run --silent sum)" 'what its command says'
  npm ls --all >/dev/null
  [ -L node_modules/linked ]
  grep -q '"integrity": "sha512-' package-lock.json
  cd "$place"
}

again() {
  look
  npm cache verify >/dev/null
}
files=$(amount 200 40)
sum=$((files * (files + 1) / 2))
