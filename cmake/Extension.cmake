# shmalloc/_native: Cython makes C of _native.pyx, and that is linked with the static core into one module.
# The core's names stay inside the module, so two modules can never share or clash over them.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)

set(native_pyx "${PROJECT_SOURCE_DIR}/shmalloc/_native.pyx")
set(native_c "${PROJECT_BINARY_DIR}/_native.c")
if(NOT EXISTS "${native_pyx}")
  message(WARNING "shmalloc/_native.pyx is missing: the distribution is built without its compiled module")
  return()
endif()
file(GLOB native_parts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/shmalloc/native/*.pxi"
     "${PROJECT_SOURCE_DIR}/shmalloc/*.pxd")

add_custom_command(
  OUTPUT "${native_c}"
  COMMAND Python::Interpreter -m cython -3 --module-name shmalloc._native
          -I "${PROJECT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}/shmalloc" --output-file "${native_c}" "${native_pyx}"
  DEPENDS "${native_pyx}" ${native_parts}
  COMMENT "Cython: shmalloc/_native.pyx"
  VERBATIM)

python_add_library(_native MODULE WITH_SOABI "${native_c}")
set_target_properties(_native PROPERTIES C_EXTENSIONS ON C_VISIBILITY_PRESET hidden)
target_compile_options(_native PRIVATE -fno-strict-aliasing)
target_link_libraries(_native PRIVATE shmalloc::core)
target_link_options(_native PRIVATE "LINKER:--exclude-libs,ALL")
install(TARGETS _native LIBRARY DESTINATION shmalloc COMPONENT python)

# witness/_witness: the lock checker's own module. It is linked with nothing of the core; what it needs of an arena comes
# through the capsule.
set(witness_pyx "${PROJECT_SOURCE_DIR}/witness/_witness.pyx")
set(witness_c "${PROJECT_BINARY_DIR}/_witness.c")
file(GLOB witness_parts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/witness/*.pxd" "${PROJECT_SOURCE_DIR}/witness/*.pxi")
add_custom_command(
  OUTPUT "${witness_c}"
  COMMAND Python::Interpreter -m cython -3 --module-name witness._witness
          -I "${PROJECT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}/witness" --output-file "${witness_c}" "${witness_pyx}"
  DEPENDS "${witness_pyx}" ${witness_parts}
  COMMENT "Cython: witness/_witness.pyx"
  VERBATIM)
python_add_library(_witness MODULE WITH_SOABI "${witness_c}")
set_target_properties(_witness PROPERTIES C_EXTENSIONS ON C_VISIBILITY_PRESET hidden)
target_compile_options(_witness PRIVATE -fno-strict-aliasing)
target_link_libraries(_witness PRIVATE witness_core)
target_link_options(_witness PRIVATE "LINKER:--exclude-libs,ALL")
install(TARGETS _witness LIBRARY DESTINATION witness COMPONENT python)

# faultinj/_faultinj: the fault injector's own module, likewise.
set(faultinj_pyx "${PROJECT_SOURCE_DIR}/faultinj/_faultinj.pyx")
set(faultinj_c "${PROJECT_BINARY_DIR}/_faultinj.c")
file(GLOB faultinj_parts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/faultinj/*.pxd" "${PROJECT_SOURCE_DIR}/faultinj/*.pxi")
add_custom_command(
  OUTPUT "${faultinj_c}"
  COMMAND Python::Interpreter -m cython -3 --module-name faultinj._faultinj
          -I "${PROJECT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}/faultinj" --output-file "${faultinj_c}" "${faultinj_pyx}"
  DEPENDS "${faultinj_pyx}" ${faultinj_parts}
  COMMENT "Cython: faultinj/_faultinj.pyx"
  VERBATIM)
python_add_library(_faultinj MODULE WITH_SOABI "${faultinj_c}")
set_target_properties(_faultinj PROPERTIES C_EXTENSIONS ON C_VISIBILITY_PRESET hidden)
target_compile_options(_faultinj PRIVATE -fno-strict-aliasing)
target_link_libraries(_faultinj PRIVATE faultinj_core)
target_link_options(_faultinj PRIVATE "LINKER:--exclude-libs,ALL")
install(TARGETS _faultinj LIBRARY DESTINATION faultinj COMPONENT python)
