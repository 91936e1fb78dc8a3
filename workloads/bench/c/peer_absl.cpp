// peer_absl.cpp - absl::Mutex in the loop of nested.h, its deadlock detection off and on, and with two threads on locks of
// their own. Owns the proof that the library was built with the detection: else turning it on changes nothing.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "harness.h"
#include "nested.h"

#define WINDOW_NS 1e6

struct alignas(128) twins {
    absl::Mutex first, second;
};

static bool nested_batch(void *ctx, uint64_t n) {
    twins *t = static_cast<twins *>(ctx);
    for (uint64_t i = 0; i < n; i++) {
        t->first.Lock();
        t->second.Lock();
        bench_use(t);
        t->second.Unlock();
        t->first.Unlock();
    }
    return true;
}

static bool detects() {
    pid_t child = fork();
    if (child == 0) {
        twins t;
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, 2); // what it has to say
        absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kAbort);
        nested_batch(&t, 1);
        t.second.Lock();
        t.first.Lock();
        t.first.Unlock();
        t.second.Unlock();
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

static double run(bool detect, double (*measure)()) {
    if (detect && !detects()) {
        return bench_refuse("this build of absl::Mutex has no deadlock detection");
    }
    absl::SetMutexDeadlockDetectionMode(detect ? absl::OnDeadlockCycle::kReport : absl::OnDeadlockCycle::kIgnore);
    double value = measure();
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return value;
}

static double nested() {
    twins t;
    return bench_best(nested_batch, &t);
}

static double rate_of(twins *t, double until) {
    double start = bench_now_ns();
    uint64_t ops = 0;
    do {
        nested_batch(t, NESTED_OPS);
        ops += NESTED_OPS;
    } while (bench_now_ns() < until);
    return (double)ops / (bench_now_ns() - start);
}

// Two threads over one, each with locks of its own; as duo_scaling.
static double apart() {
    static twins mine, other;
    double alone = 0, together = 0, end = bench_now_ns() + bench_budget_ns * 2;
    do {
        double rate = rate_of(&mine, bench_now_ns() + WINDOW_NS);
        alone = rate > alone ? rate : alone;
        std::atomic<bool> ready{false}, go{false};
        double until = 0, theirs = 0;
        std::thread thread([&] {
            bench_pin(bench_core[1]);
            ready.store(true);
            while (!go.load()) {
                bench_pause();
            }
            theirs = rate_of(&other, until);
        });
        while (!ready.load()) {
            bench_pause();
        }
        until = bench_now_ns() + WINDOW_NS;
        go.store(true);
        rate = rate_of(&mine, until);
        thread.join();
        together = rate + theirs > together ? rate + theirs : together;
    } while (bench_now_ns() < end);
    return together / alone;
}

static const struct bench_case cases[] = {
    {"nested_off", [] { return run(false, nested); }},
    {"nested_on", [] { return run(true, nested); }},
    {"apart_on", [] { return run(true, apart); }},
};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    return BENCH_SERVE(cases);
}
