# What `cmake --install` puts in place, and the Debian package of the same (`make deb`).
include(GNUInstallDirs)
install(TARGETS lathe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/lathe/recipes)
install(DIRECTORY prices/ DESTINATION ${CMAKE_INSTALL_DATADIR}/lathe/prices)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES tools/lathe.service tools/lathe-queue.service DESTINATION lib/systemd/user)

# The program writes its own manual page and completions; not where it is built for another machine.
if(NOT CMAKE_CROSSCOMPILING)
  set(written ${PROJECT_BINARY_DIR}/written)
  add_custom_command(OUTPUT ${written}/lathe.1.gz
    COMMAND ${CMAKE_COMMAND} -E make_directory ${written}
    COMMAND lathe manual > ${written}/lathe.1
    COMMAND gzip -9nf ${written}/lathe.1
    COMMAND lathe completion bash > ${written}/lathe
    COMMAND lathe completion zsh > ${written}/_lathe
    COMMAND lathe completion fish > ${written}/lathe.fish
    DEPENDS lathe VERBATIM)
  add_custom_target(lathe_written ALL DEPENDS ${written}/lathe.1.gz)
  install(FILES ${written}/lathe.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${written}/lathe DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${written}/_lathe DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${written}/lathe.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The engineers of Lathe <lathe@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "local models that generate, judge and repair until it passes")
set(CPACK_PACKAGE_DESCRIPTION
  "Runs open language models on this machine, serves them to OpenAI-, Anthropic- and Ollama-shaped clients, and loops: makes something, looks at the real result, judges it against a bar and repairs it until it passes.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What it starts as programs or opens as data: the rows "run" of tools/packages.txt.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/tools/install-packages.sh runtime --list
  OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE " " ", " CPACK_DEBIAN_PACKAGE_DEPENDS "${runtime}")
# Opened where there is a GPU.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libvulkan1, mesa-vulkan-drivers")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "chromium-headless-shell")
include(CPack)
