# cmake -DNPM=npm -DFROM=directory -DTO=directory -DREQUIRED=ON -DWITHOUT=words -P npm_ci.cmake: installs FROM's package-lock.json
# in TO, where nothing else is. Unless it is REQUIRED, what cannot be had leaves an empty TO/node_modules, and a warning of what is
# WITHOUT it.
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/package.json ${FROM}/package-lock.json DESTINATION ${TO})
execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline
                WORKING_DIRECTORY ${TO} OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
if(NOT result EQUAL 0 AND REQUIRED)
  message(FATAL_ERROR "npm ci failed in ${TO}; give it its registry, or build without it: -DTEDDY_REQUIRE_NPM=OFF\n${said}")
elseif(NOT result EQUAL 0)
  string(REGEX MATCH "npm ERR! [^\n]*" why "${said}")
  message("npm ci failed in ${TO} (${why}): ${WITHOUT}. To try again, remove that directory.")
  file(REMOVE_RECURSE ${TO}/node_modules)
  file(MAKE_DIRECTORY ${TO}/node_modules)
endif()
file(TOUCH ${TO}/done)
