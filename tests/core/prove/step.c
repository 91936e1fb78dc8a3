/* step.c - one traced process, one instruction at a time. Knows which addresses are the core's (the linker gathered them
 * in one section) and lets calls that leave the core run to their return. Source: ptrace(2), x86-64.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prove.h"

extern const char __start_prove_core_text[], __stop_prove_core_text[];

#define BLOCKED_NS 20000000ll /* of one step: then the process sleeps in the kernel */

bool prove_in_core(uint64_t rip) {
    return rip >= (uint64_t)__start_prove_core_text && rip < (uint64_t)__stop_prove_core_text;
}

__attribute__((noinline)) void prove_begin(void) {
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void prove_end(void) {
    __asm__ volatile("nop" ::: "memory"); /* not the same code as prove_begin: two addresses */
}

void prove_trace_me(void) {
    MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
}

void prove_kill(pid_t pid) {
    int status;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status) && !WIFEXITED(status)) {
    }
}

bool prove_asleep(pid_t pid) {
    char path[40], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    MUST(f != NULL);
    bool whole = fgets(text, sizeof text, f) != NULL;
    (void)fclose(f);
    const char *state = whole ? strrchr(text, ')') : NULL; /* the command may hold anything */
    return state != NULL && state[1] == ' ' && state[2] == 'S';
}

static uint64_t rip_of(pid_t pid) {
    errno = 0;
    uint64_t rip = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
    MUST(errno == 0);
    return rip;
}

static uint64_t peek(pid_t pid, uint64_t at) {
    errno = 0;
    uint64_t word = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, at, NULL);
    MUST(errno == 0);
    return word;
}

static void wait_stop(struct prove_step *s) {
    int status;
    if (s->s_blocked) {
        int64_t until = sm_os_now_ns() + BLOCKED_NS;
        pid_t got;
        while ((got = waitpid(s->s_pid, &status, WNOHANG)) == 0) {
            if (s->s_blocked && sm_os_now_ns() > until && prove_asleep(s->s_pid)) {
                void (*blocked)(void *) = s->s_blocked;
                s->s_blocked = NULL;
                blocked(s->s_ctx);
            }
        }
        MUST(got == s->s_pid);
    } else {
        MUST(waitpid(s->s_pid, &status, 0) == s->s_pid);
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        prove_die(__FILE__, __LINE__, "the traced process ended by itself, status 0x%x", status);
    }
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        prove_die(__FILE__, __LINE__, "the traced process stopped with status 0x%x at %s", status,
                  prove_symbol(rip_of(s->s_pid)));
    }
}

/* Lets the process run until it is about to execute the instruction at `at`. */
static void run_to(struct prove_step *s, uint64_t at) {
    uint64_t was = peek(s->s_pid, at);
    MUST(ptrace(PTRACE_POKEDATA, s->s_pid, at, (was & ~0xffull) | 0xcc) == 0);
    MUST(ptrace(PTRACE_CONT, s->s_pid, NULL, NULL) == 0);
    wait_stop(s);
    MUST(rip_of(s->s_pid) == at + 1);
    MUST(ptrace(PTRACE_POKEDATA, s->s_pid, at, was) == 0);
    MUST(ptrace(PTRACE_POKEUSER, s->s_pid, offsetof(struct user_regs_struct, rip), at) == 0);
    s->s_rip = at;
}

void prove_step_start(struct prove_step *s, pid_t pid, bool all) {
    int status;
    *s = (struct prove_step){.s_pid = pid, .s_all = all};
    MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    MUST(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) == 0);
    run_to(s, (uint64_t)prove_begin);
}

/* The code is the same here and there. */
static bool is_return(uint64_t rip) {
    const uint8_t *code = (const uint8_t *)rip;
    code += code[0] == 0xf3 || code[0] == 0xf2; /* rep ret, bnd ret */
    return code[0] == 0xc3 || code[0] == 0xc2;
}

bool prove_step(struct prove_step *s) {
    uint64_t from = s->s_rip;
    if (s->s_rip == (uint64_t)prove_end) {
        s->s_done = true;
        return false;
    }
    bool was_core = prove_in_core(s->s_rip);
    s->s_core += was_core;
    s->s_other += !was_core;
    s->s_steps++;
    MUST(ptrace(PTRACE_SINGLESTEP, s->s_pid, NULL, NULL) == 0);
    wait_stop(s);
    s->s_rip = rip_of(s->s_pid);
    if (!s->s_all && was_core && !prove_in_core(s->s_rip) && !is_return(from)) {
        uint64_t back =
            peek(s->s_pid, (uint64_t)ptrace(PTRACE_PEEKUSER, s->s_pid, offsetof(struct user_regs_struct, rsp), NULL));
        if (prove_in_core(back)) { /* else the last call of a function that returns to the operation's code */
            run_to(s, back);
        }
    }
    return true;
}

/* Function and line, where addr2line is installed; else the file and the offset in it. */
const char *prove_symbol(uint64_t rip) {
    static char text[400];
    char command[300];
    Dl_info info;
    if (!dladdr((void *)rip, &info)) {
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)rip);
        return text;
    }
    uint64_t at = ((const Elf64_Ehdr *)info.dli_fbase)->e_type == ET_DYN ? rip - (uint64_t)info.dli_fbase : rip;
    snprintf(text, sizeof text, "%.200s+0x%llx", info.dli_fname, (unsigned long long)at);
    snprintf(command, sizeof command, "addr2line -f -p -i -e '%.200s' 0x%llx 2>/dev/null", info.dli_fname,
             (unsigned long long)at);
    FILE *f = popen(command, "r");
    if (f != NULL) {
        if (fgets(text, sizeof text, f) != NULL) {
            text[strcspn(text, "\n")] = 0;
        }
        (void)pclose(f);
    }
    return text;
}
