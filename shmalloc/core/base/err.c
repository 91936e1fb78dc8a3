/* err.c - names and sentences of the error codes. Owns two constant tables, nothing else. */
#include "err.h"

static const char *const err_names[] = {
#define SM_ERR_NAME(code, text) #code,
    SM_ERRORS(SM_ERR_NAME)
#undef SM_ERR_NAME
};

static const char *const err_texts[] = {
#define SM_ERR_TEXT(code, text) text,
    SM_ERRORS(SM_ERR_TEXT)
#undef SM_ERR_TEXT
};

const char *sm_err_name(enum sm_err e) {
    return (unsigned)e < SM_ERR_COUNT ? err_names[e] : "SM_UNKNOWN";
}

const char *sm_err_text(enum sm_err e) {
    return (unsigned)e < SM_ERR_COUNT ? err_texts[e] : "an unknown error code";
}
