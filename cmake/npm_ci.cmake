# cmake -DNPM=npm -DFROM=directory -DTO=directory -P npm_ci.cmake: installs FROM's package-lock.json in TO, where nothing else is.
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/package.json ${FROM}/package-lock.json DESTINATION ${TO})
execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline
                WORKING_DIRECTORY ${TO} OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "npm ci failed in ${TO}, which installs what the web console uses; build without it: -DTEDDY_CONSOLE=OFF\n${said}")
endif()
file(TOUCH ${TO}/done)
