/* test_userlock_role.c - what a handle's lock is for a lock checker: type and subclass. */
#include "core/userlock_impl.h"
#include "harness.h"

TEST(a_role_is_of_the_handle_and_a_condition_takes_over_that_of_its_mutex) {
    struct sm_userlock *m = NULL, *c = NULL, *again = NULL;
    struct sm_userlock_params p = {.up_name = "m", .up_kind = SM_UL_MUTEX};
    char longest[SM_NAME_BYTES + 1] = {0};
    EXPECT_OK(sm_userlock_create(h->h_arena, &p, &m));
    memset(longest, 't', SM_NAME_BYTES);
    EXPECT_ERR(sm_userlock_role(m, NULL, 1), SM_INVALID);
    EXPECT_ERR(sm_userlock_role(m, "", 1), SM_INVALID);
    EXPECT_ERR(sm_userlock_role(m, longest, 1), SM_NAME_TOO_LONG);
    longest[SM_NAME_BYTES - 1] = 0;
    EXPECT_OK(sm_userlock_role(m, longest, 1));
    EXPECT_OK(sm_userlock_role(m, "type", 3));
    EXPECT_OK(sm_userlock_open(h->h_arena, &p, &again));
    EXPECT_OK(sm_userlock_role(again, "type", 4));
    EXPECT_TRUE(again->l_face.f_role != m->l_face.f_role && m->l_face.f_role != 0);
    p = (struct sm_userlock_params){.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_create(h->h_arena, &p, &c));
    EXPECT_ERR(sm_userlock_role(c, "type", 1), SM_INVALID);
    EXPECT_EQ(c->l_mutex->l_face.f_role, m->l_face.f_role);
    EXPECT_EQ(strcmp(c->l_mutex->l_face.f_type, "type"), 0);
    EXPECT_TRUE(c->l_mutex->l_face.f_type != m->l_face.f_type); /* its own: the mutex may be closed first */
    sm_userlock_close(c);
    sm_userlock_close(again);
    sm_userlock_close(m);
}
