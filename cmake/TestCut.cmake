# Which tests a sanitized build leaves out, and which ones wait more than they compute. CTest lists what is left out as
# "Not Run (Disabled)"; its program is built only when asked for by name. The plain build runs every test.
# A name here is a regular expression for the whole name of a test.

# Each cuts the power at each write, or breaks a port in each way: the same few functions, thousands of times, which other tests
# run under both sanitizers. What a compiler, a script, a page of the docs or a browser says is the same in every build. A fleet
# that drains is the storm's, too.
set(_not_sanitized
  integration_conformance_broken identity_durability_test store_seal_power_test teddy_posix_power_test
  proto_freestanding_test bench_report integration_spec integration_metrics_rules
  integration_docs integration_upgrade_fleet "e2e_.*")

# AddressSanitizer has every parser and every route. The storm, and a minute of waiting for loop and writer, are ThreadSanitizer's;
# teddy-sim's own (integration_sim) is here. teddyctl's pages and completions come of the table that cli_offline_test walks.
# Of what ThreadSanitizer has, too, those are left out whose routes and parsers others have as well.
set(TEDDY_NOT_UNDER_address ${_not_sanitized} fault_storm integration_audit_minute cli_table_test
  "integration_(audit|durable|limits|notify|operation|resume|sealed|session_life)")

# ThreadSanitizer has what has threads: the network's loops, the writer of the store, the registry of sessions, keys that change
# under them. Not what is one thread alone: the SDK and what stands on it, parsers, rules, documents, teddyctl with its backups and
# batches, an old store that is brought up to date, the load generator. Nor what goes the way of others that are here: a child that is
# forgotten and a toy that is released go through the writer as revocation and the audit trail do, sockets that systemd hands over
# are listened on as any.
set(TEDDY_NOT_UNDER_thread ${_not_sanitized}
  sdk_.* proto_.* fuzz_.* safety_.* port_template_test teddy_.*_test cmdline_test sim_parts_test process_.* ops_config_test
  "identity_(siphash|rules|token|master_key)_test" "admin_(command|import|master)_test" "http_(route|proxies)_test"
  cli_.* "integration_(activation|admin_https|admin_spec|backup|batch|conformance|demo|hostile|load|privacy|release|sim|toy|upgrade)")
set(TEDDY_PROGRAMS_NOT_UNDER_thread teddy-load teddy-conformance conformance_broken)

# They begin first and take half of a place, so that the others have the processors meanwhile. The longest first.
set(TEDDY_WAITING
  integration_conformance integration_sim integration_audit_minute integration_conformance_broken integration_session_life
  integration_limits integration_hostile integration_resume integration_claim integration_session_talk session_close_test
  net_conn_test integration_console integration_upgrade integration_own_backends integration_upgrade_fleet)

# Of a test that was added: is it left out, and how is it scheduled?
function(teddy_schedule name)
  list(FIND TEDDY_WAITING ${name} place)
  if(place EQUAL -1)
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  else()
    math(EXPR cost "1000 - ${place}")
    set_tests_properties(${name} PROPERTIES COST ${cost})
  endif()
  foreach(pattern ${TEDDY_NOT_UNDER_${TEDDY_SANITIZE}})
    if(name MATCHES "^(${pattern})$")
      set_tests_properties(${name} PROPERTIES DISABLED ON)
      if(TARGET ${name})
        set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
      endif()
    endif()
  endforeach()
endfunction()
