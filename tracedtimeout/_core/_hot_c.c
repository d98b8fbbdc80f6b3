/* The hot path, compiled: what _hot_py does in the common case, and nothing else.

   Each function looks first, and changes nothing as it looks. Whatever is not common (a subclass, a budget around it,
   options, a loop that was not seen yet, a wrong argument) it leaves to the function of the same name in _hot_py, which
   then does all of it. So there is one implementation of everything that is rare, and this file has no opinion of its
   own. What is common is done here in the order of _hot_py, with its undoing where a call fails.

   Who can interrupt: between two calls into Python nothing else runs, no signal's handler and no other thread. Where
   an allocation may start the garbage collector (3.11), or a destructor runs, nothing half done is visible but what
   _hot_py would show at the same line.

   Fields are the slots of the Python classes, at offsets read from their member descriptors as the module is loaded:
   Python code reads and writes the same objects. A slot owns its reference; NULL is a slot that was never set.

   All that this module holds for good is in `S`: classes, functions, modules' dicts and names, never a timeout, a loop
   or a task. They are static, so a second interpreter, or a second import, is refused with ImportError, and runs the
   Python. So is a build without the GIL.

   Conventions: -1 or NULL is a failure with an exception set, where nothing else is said. "New" is a reference that the
   caller owns. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* -- What is bound once ------------------------------------------------------------------------------------------ */

/* Name here, module, name there; NULL is the module's dict, whose names are swapped at run time. Classes are compared by
   identity: the offsets below hold for them and for what derives from them. */
#define OBJECTS(X)                                                                                                     \
    X(link, "_link", "Link") X(facts, "_facts", "Facts") X(lane, "_lanes", "Lane") X(state, "_loop", "LoopState")      \
    X(series, "figures._series", "Series") X(varied, "figures._series", "Varied") X(more, "_more", "More")             \
    X(unhurried, "_observers", "Unhurried") X(created, "_link", "CREATED") X(active, "_link", "ACTIVE")                \
    X(finished, "_link", "FINISHED") X(never, "figures._series", "NEVER") X(tasks, "_loop", "tasks")                   \
    X(running_loop, "_hot_py", "get_running_loop") X(announce, "_entering", "announce")                                \
    X(beside, "_entering", "beside") X(counted, "_entering", "counted") X(undone, "_entering", "broken_off")           \
    X(completed, "_entering", "completed") X(tell, "_entering", "tell") X(broken_off, "_ending", "broken_off")         \
    X(tell_end, "_ending", "tell_end") X(place, "_entering", "place")                                                  \
    X(let_go, "_family", "let_go") X(added, "_spent", "added") X(py_aenter, "_hot_py", "aenter")                       \
    X(py_aexit, "_hot_py", "aexit") X(py_enter, "_hot_py", "enter") X(py_leave, "_hot_py", "leave")                    \
    X(py_left_by, "_hot_py", "left_by") X(py_timeout, "_hot_py", "timeout") X(context, "_context", NULL)               \
    X(observers, "_observers", NULL)
#define STRINGS(X)                                                                                                     \
    X(_tracedtimeout) X(current_task) X(cancelling) X(arm) X(rest) X(inherited) X(current) X(installed) X(throw) X(name)

static struct {
    int loaded;                    /* by an interpreter, for good */
    PyObject *timeout, *awaitable; /* classes: the one that `bind` was given, and our own */
    PyObject *one, *task_names;    /* 1; what is in `tasks`, which others swap */
    PyObject *task;                /* asyncio's class of tasks where that is a C one, and its `cancelling` */
    PyCFunction task_cancelling;
    PyObject *spare, *spare_stop;  /* an Awaitable that is dead, a StopIteration that has nothing; or NULL */
#define X(name, ...) PyObject *name;
    OBJECTS(X)
#undef X
#define X(name) PyObject *str_##name;
    STRINGS(X)
#undef X
} S;

/* Slots: letter, class, what stands before the name in Python, name. `offsets` has where each is. */
#define FIELDS(X)                                                                                                      \
    X(T, link, "_", deadline) X(T, link, "_", inner) X(T, link, "_", more) X(T, link, "_", owner)                      \
    X(T, link, "_", parent) X(T, link, "_", spent) X(T, link, "_", stamp) X(T, link, "_", state)                       \
    X(T, link, "_", task) X(T, link, "_", when) X(T, facts, "_", ended) X(T, facts, "_", fired)                        \
    X(T, facts, "_", lane) X(T, facts, "_", series) X(T, facts, "_", started) X(L, lane, "", delay)                    \
    X(L, lane, "", fresh) X(L, lane, "", here) X(L, lane, "", pending) X(L, lane, "", tail) X(H, state, "", armed)     \
    X(H, state, "", clock) X(H, state, "", forked) X(H, state, "", heal_at) X(H, state, "", idle)                      \
    X(H, state, "", loop) X(H, state, "", series)                                                                      \
    X(H, state, "", sites) X(H, state, "", stamp) X(H, state, "", stopwatch) X(H, state, "", timed_apart)              \
    X(H, state, "", timeouts) X(H, state, "", untimed) X(C, series, "", entered) X(C, series, "", lane)                \
    X(C, series, "", name) X(C, series, "", quick) X(C, series, "", quick_up_to) X(C, series, "", seconds)             \
    X(V, varied, "", name) X(V, varied, "", quick) X(V, varied, "", ratios) X(V, varied, "", seconds)                  \
    X(V, varied, "", short)

#define X(letter, class, before, name) letter##_##name,
enum { FIELDS(X) SLOTS };
#undef X
static Py_ssize_t offsets[SLOTS];

/* The slot itself; what stands in it is borrowed from its object. */
#define SLOT(object, field) (*(PyObject **)((char *)(object) + offsets[field]))
#define OF(object, class) ((PyObject *)Py_TYPE(object) == S.class)
#define DERIVES(object, class) PyObject_TypeCheck((object), (PyTypeObject *)S.class)

/* Put `value` (stolen) into a slot. The old value may run a destructor: the slot is whole by then. */
static inline void put(PyObject *object, int field, PyObject *value)
{
    PyObject *old = SLOT(object, field);
    SLOT(object, field) = value;
    Py_XDECREF(old);
}

/* Read a number as a double; ints are numbers. */
static inline int number(PyObject *value, double *found)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of a timeout is not set");
        return -1;
    }
    if (PyFloat_CheckExact(value)) {
        *found = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    *found = PyLong_CheckExact(value) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
    return *found == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* New: the sum of a slot and `amount`. */
static PyObject *plus(PyObject *object, int field, double amount)
{
    double value;
    return number(SLOT(object, field), &value) < 0 ? NULL : PyFloat_FromDouble(value + amount);
}

/* New: a count and 1. */
static PyObject *one_more(PyObject *count)
{
    int overflow = 0;
    if (count != NULL && PyLong_CheckExact(count)) {
        long long value = PyLong_AsLongLongAndOverflow(count, &overflow);
        if (overflow == 0 && value < LLONG_MAX) {
            return PyLong_FromLongLong(value + 1);
        }
    }
    return count == NULL ? PyErr_Format(PyExc_AttributeError, "a count is not set") : PyNumber_Add(count, S.one);
}

/* New: what a function returns that takes nothing. Clocks are built-in functions mostly, a third as dear so. */
static PyObject *ask(PyObject *function)
{
    if (PyCFunction_CheckExact(function) && PyCFunction_GET_FLAGS(function) == METH_NOARGS) {
        return PyCFunction_GET_FUNCTION(function)(PyCFunction_GET_SELF(function), NULL);
    }
    return PyObject_CallNoArgs(function);
}

/* Drop what a call returned: 0, or -1 where it failed. */
static inline int done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* New: what a dict has under a key; NULL, and no exception, where it has nothing: a miss goes the long way. */
static PyObject *found_in(PyObject *dict, PyObject *key)
{
    PyObject *value = NULL;
    if (dict != NULL && key != NULL && PyDict_Check(dict)) {
        value = PyDict_GetItemWithError(dict, key);
        if (value == NULL) {
            PyErr_Clear();
        }
    }
    return Py_XNewRef(value);
}

/* Have Python clear up after the exception that is set, and keep that one: what is raised meanwhile stands in its
   __context__. `other` may be NULL: one argument. */
static void in_its_wake(PyObject *function, PyObject *self, PyObject *other, PyObject *exc)
{
    PyObject *type, *later, *traceback;
    if (done(PyObject_CallFunctionObjArgs(function, self, other, NULL)) == 0) {
        return;
    }
    PyErr_Fetch(&type, &later, &traceback);
    PyErr_NormalizeException(&type, &later, &traceback);
    PyObject *context = PyException_GetContext(exc);
    if (context == NULL && later != exc) {
        PyException_SetContext(exc, Py_NewRef(later)); /* stolen */
    }
    Py_XDECREF(context);
    Py_XDECREF(type);
    Py_XDECREF(later);
    Py_XDECREF(traceback);
}

/* Clear up after an entry or an exit that the exception set broke off: the last clause of _hot_py's aenter and aexit.
   The exception stays set. An exit that is over, all but for what is told of it, still has observers to tell; of one
   that was never begun there is nothing to clear. */
static void clear_up(PyObject *self, int entering)
{
    PyObject *type, *exc, *traceback, *task = SLOT(self, T_task), *lane = SLOT(self, T_lane);
    PyErr_Fetch(&type, &exc, &traceback);
    PyErr_NormalizeException(&type, &exc, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(exc, traceback);
    }
    lane = lane != NULL && DERIVES(lane, lane) ? Py_NewRef(lane) : NULL;
    if (entering) {
        put(self, T_state, Py_NewRef(S.finished));
    }
    else if (task == NULL || task == Py_None || lane == NULL) {
        if (task == Py_None && SLOT(self, T_more) != NULL && SLOT(self, T_more) != Py_None) {
            in_its_wake(S.tell_end, self, Py_None, exc);
        }
        goto cleared;
    }
    else if (SLOT(lane, L_pending) != NULL && PyDict_Check(SLOT(lane, L_pending))) {
        PyDict_SetItem(SLOT(lane, L_pending), self, Py_None); /* where no call succeeds, the next tick clears up */
    }
    PyErr_Clear();
    if (lane != NULL && PyDict_Contains(lane, self) == 1) {
        PyObject_DelItem(lane, self);
    }
    PyErr_Clear();
    if (entering) {
        in_its_wake(S.undone, self, exc, exc);
    }
    else {
        in_its_wake(S.broken_off, self, NULL, exc);
    }
cleared:
    Py_XDECREF(lane);
    PyErr_Restore(type, exc, traceback);
}

/* -- Entering ---------------------------------------------------------------------------------------------------- */

/* What an entry reads before it changes anything. Owned, and released by `forget`; borrowed by nobody for longer. */
typedef struct {
    PyObject *loop, *here, *task, *series, *lane, *when, *clock, *parent, *stamp, *started, *current;
    PyObject *timed; /* when it is timed, if Python said so; else NULL: as `when` */
    double now;      /* `clock`, as a number */
} Entry;

/* Of a timeout that is made. */
static void forget_few(Entry *e)
{
    Py_XDECREF(e->loop);
    Py_XDECREF(e->here);
    Py_XDECREF(e->series);
    Py_XDECREF(e->when);
    Py_XDECREF(e->clock);
}

static void forget(Entry *e)
{
    Py_XDECREF(e->task);
    Py_XDECREF(e->lane);
    Py_XDECREF(e->parent);
    Py_XDECREF(e->stamp);
    Py_XDECREF(e->started);
    Py_XDECREF(e->current);
    Py_XDECREF(e->timed);
    forget_few(e);
}

/* Whether `here` is that state which `loop` has: it refers to its loop, and a fork takes it from it. */
static int is_state_of(PyObject *here, PyObject *loop)
{
    PyObject *found = NULL, *reference = SLOT(here, H_loop);
    if (SLOT(here, H_forked) != Py_False || reference == NULL || !PyWeakref_CheckRefExact(reference)) {
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    if (PyWeakref_GetRef(reference, &found) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(found); /* the caller has `loop` */
#else
    found = PyWeakref_GET_OBJECT(reference);
#endif
    return found == loop;
}

/* Find the running loop and its state, which may be `likely` (or NULL); -1, and no exception, where there is none of
   ours. */
static int running(Entry *e, PyObject *likely)
{
    e->loop = ask(S.running_loop);
    if (e->loop != NULL && likely != NULL && OF(likely, state) && is_state_of(likely, e->loop)) {
        e->here = Py_NewRef(likely);
        return 0;
    }
    e->here = e->loop == NULL ? NULL : PyObject_GetAttr(e->loop, S.str__tracedtimeout);
    if (e->here != NULL && OF(e->here, state)) {
        return 0;
    }
    PyErr_Clear();
    return -1;
}

/* Read the loop's clock. */
static int read_clock(Entry *e)
{
    e->clock = ask(SLOT(e->here, H_clock));
    return e->clock == NULL ? -1 : number(e->clock, &e->now);
}

/* Find the series of `delay` in `by_delay` (stolen), and when that is from now; -1 where it goes the long way. */
static int begin(Entry *e, PyObject *by_delay, PyObject *delay)
{
    double seconds;
    e->series = found_in(by_delay, delay);
    Py_XDECREF(by_delay);
    if (e->series == NULL || read_clock(e) < 0) {
        return -1;
    }
    if (delay == Py_None) {
        e->when = Py_NewRef(S.never);
    }
    else if ((PyFloat_CheckExact(delay) || PyLong_CheckExact(delay)) && number(delay, &seconds) == 0) {
        e->when = PyFloat_FromDouble(e->now + seconds);
    }
    return e->when == NULL ? -1 : 0;
}

/* Whether the current task is common: it is there, and is not being cancelled. */
static int task_is_plain(Entry *e)
{
    PyObject *current_task = Py_XNewRef(PyDict_GetItemWithError(S.task_names, S.str_current_task)); /* may be swapped */
    e->task = current_task == NULL ? NULL : PyObject_CallOneArg(current_task, e->loop);
    Py_XDECREF(current_task);
    if (e->task == NULL || e->task == Py_None) {
        return 0;
    }
    PyObject *cancelling = (PyObject *)Py_TYPE(e->task) == S.task ? S.task_cancelling(e->task, NULL)
                                                                  : PyObject_CallMethodNoArgs(e->task, S.str_cancelling);
    int is_true = cancelling == NULL ? -1 : PyObject_IsTrue(cancelling);
    Py_XDECREF(cancelling);
    return is_true == 0;
}

/* Find the innermost link that is not left, Py_None with none. 0 where it is no Timeout of this very class whose
   deadline is known. */
static int parent_is_plain(Entry *e)
{
    PyObject *inherited = PyDict_GetItemWithError(S.context, S.str_inherited), *current = NULL;
    if (inherited == NULL) {
        return 0;
    }
    if (PyCFunction_Check(inherited)) { /* current.get itself */
        current = PyCFunction_GET_SELF(inherited);
    }
    if (current != NULL && PyContextVar_CheckExact(current)) {
        e->current = Py_NewRef(current);
        if (PyContextVar_Get(current, NULL, &e->parent) < 0) {
            return 0;
        }
    }
    else {
        e->current = Py_XNewRef(PyDict_GetItemWithError(S.context, S.str_current));
        Py_INCREF(inherited);
        e->parent = e->current == NULL ? NULL : PyObject_CallNoArgs(inherited);
        Py_DECREF(inherited);
    }
    PyObject *outer;
    while (e->parent != NULL && OF(e->parent, timeout) && SLOT(e->parent, T_state) == S.finished &&
           (outer = SLOT(e->parent, T_parent)) != NULL) {
        Py_INCREF(outer);
        Py_SETREF(e->parent, outer);
    }
    PyObject *found = e->parent;
    return found == Py_None ||
           (found != NULL && OF(found, timeout) && SLOT(found, T_stamp) == e->stamp &&
            SLOT(found, T_deadline) != NULL && SLOT(found, T_inner) != NULL && SLOT(found, T_owner) != NULL &&
            SLOT(found, T_more) != NULL);
}

/* Read all that an entry needs, beyond `loop`, `here`, `series` and `when`. Where it returns 0, nothing was changed, and
   no exception is set. */
static int look(Entry *e)
{
    PyObject *apart = SLOT(e->here, H_timed_apart);
    e->lane = OF(e->series, series) ? Py_XNewRef(SLOT(e->series, C_lane)) : NULL;
    e->stamp = Py_XNewRef(SLOT(e->here, H_stamp));
    if (e->lane != NULL && DERIVES(e->lane, lane) && SLOT(e->lane, L_here) == e->here && e->stamp != NULL &&
        task_is_plain(e) &&
        (apart == Py_False ||
         (apart == Py_True && (e->started = ask(SLOT(e->here, H_stopwatch))) != NULL)) &&
        parent_is_plain(e)) {
        return 1;
    }
    PyErr_Clear();
    return 0;
}

/* Have `self` lie beneath its parent, which is plain. Returns 1 where its own deadline is the effective one, else 0. */
static int beneath(PyObject *self, Entry *e, double when)
{
    PyObject *parent = e->parent, *owner;
    double deadline;
    if (SLOT(parent, T_task) != e->task || SLOT(parent, T_inner) != Py_None) {
        e->timed = PyObject_CallFunctionObjArgs(S.beside, self, parent, SLOT(parent, T_more), NULL);
        return e->timed == NULL ? -1 : SLOT(self, T_owner) == Py_None;
    }
    if (number(SLOT(parent, T_deadline), &deadline) < 0) {
        return -1;
    }
    put(parent, T_inner, Py_NewRef(self));
    if (deadline >= when) {
        return 1;
    }
    owner = SLOT(parent, T_owner);
    put(self, T_deadline, Py_NewRef(SLOT(parent, T_deadline)));
    put(self, T_owner, Py_NewRef(owner != Py_None ? owner : parent));
    return 0;
}

/* Have `self` queue for `when`: at the end of its lane, if it is in order there. Returns 1 where it does, or needs not,
   and 0 where Python found it another place. `fresh`: it was made in this moment, and not up to SOON ago. */
static int queue(PyObject *self, Entry *e, double when, int fresh)
{
    PyObject *here = e->here, *lane = e->lane;
    double tail, limit, armed, heal_at;
    if (e->timed != NULL && e->timed != e->when) {
        return done(PyObject_CallFunctionObjArgs(S.place, self, here, e->timed, e->clock, NULL)) < 0 ? -1 : 0;
    }
    if (OF(lane, lane)) {
        if (number(SLOT(lane, L_tail), &tail) < 0 || number(SLOT(lane, L_fresh), &limit) < 0) {
            return -1;
        }
        if (when >= tail && (fresh || when - e->now > limit)) {
            put(lane, L_tail, Py_NewRef(e->when));
            if (PyDict_SetItem(lane, self, e->when) < 0 || number(SLOT(here, H_armed), &armed) < 0 ||
                number(SLOT(here, H_heal_at), &heal_at) < 0) {
                return -1;
            }
            if (!(when < armed || heal_at < e->now)) {
                return 1;
            }
            return done(PyObject_CallMethodOneArg(here, S.str_arm, e->when)) < 0 ? -1 : 1;
        }
    }
    else if (e->when == S.never && lane == SLOT(here, H_untimed)) {
        if (SLOT(self, T_started) == Py_None) {
            put(self, T_started, Py_NewRef(e->clock));
        }
        return 1;
    }
    return done(PyObject_CallFunctionObjArgs(S.place, self, here, e->when, e->clock, NULL)) < 0 ? -1 : 0;
}

/* Enter `self`, which is plain as `look` found. New: self; or NULL, and undone. */
static PyObject *enter_plain(PyObject *self, Entry *e, int fresh)
{
    int own = 1, queued;
    double when;
    PyObject *installed, *token, *more;

    put(self, T_task, Py_NewRef(e->task));
    put(self, T_lane, Py_NewRef(e->lane));
    put(self, T_deadline, Py_NewRef(e->when));
    put(self, T_stamp, Py_NewRef(e->stamp));
    if (e->started != NULL) {
        put(self, T_started, Py_NewRef(e->started));
    }
    put(self, T_parent, Py_NewRef(e->parent));
    if (number(e->when, &when) < 0 || (e->parent != Py_None && (own = beneath(self, e, when)) < 0)) {
        goto failed;
    }
    put(self, T_state, Py_NewRef(S.active));
    if ((queued = queue(self, e, when, fresh)) < 0) {
        goto failed;
    }
    installed = PyDict_GetItemWithError(S.observers, S.str_installed);
    if (installed != NULL && PyTuple_CheckExact(installed) && PyTuple_GET_SIZE(installed) != 0 &&
        done(PyObject_CallOneArg(S.announce, self)) < 0) {
        goto failed;
    }
    token = PyContextVar_Set(e->current, self);
    if (token == NULL) {
        goto failed;
    }
    Py_DECREF(token);
    if (own && queued) {
        if ((more = one_more(SLOT(e->series, C_entered))) != NULL) {
            put(e->series, C_entered, more);
            return Py_NewRef(self);
        }
    }
    else if ((more = PyObject_CallFunctionObjArgs(S.counted, self, e->clock, NULL)) != NULL) {
        return more; /* self */
    }
failed:
    clear_up(self, 1);
    return NULL;
}

/* Enter a timeout that timeout() made. New: self; or NULL: without an exception, and nothing changed, where it is not
   common. */
static PyObject *enter_made(PyObject *self)
{
    Entry e = {0};
    PyObject *result = NULL, *series = SLOT(self, T_series), *lane;
    if (SLOT(self, T_state) != S.created || SLOT(self, T_more) != Py_None || SLOT(self, T_when) == NULL ||
        series == NULL || !OF(series, series) || (lane = SLOT(series, C_lane)) == NULL || !DERIVES(lane, lane)) {
        return NULL;
    }
    if (running(&e, SLOT(lane, L_here)) == 0) {
        e.series = Py_NewRef(series);
        e.when = Py_NewRef(SLOT(self, T_when));
        if (read_clock(&e) < 0) {
            PyErr_Clear();
        }
        else if (look(&e) && SLOT(self, T_state) == S.created) {
            result = enter_plain(self, &e, 0);
        }
    }
    forget(&e);
    return result;
}

/* -- Leaving ----------------------------------------------------------------------------------------------------- */

/* Count an exit in time, and show it as left, in one step: all that may fail comes before. -1, and nothing counted.
   What took longer than the first bucket can wait a microsecond for Python. */
static int count(PyObject *self, PyObject *series, double elapsed, PyObject *elapsed_object, double limit)
{
    int usual = OF(series, series), quick = usual ? C_quick : V_quick, sum = usual ? C_seconds : V_seconds;
    PyObject *ratios, *seconds, *more;
    double up_to;
    if (number(SLOT(series, usual ? C_quick_up_to : V_short), &up_to) < 0) {
        return -1;
    }
    if (!(elapsed <= up_to) || (!usual && !(limit > 0.0))) {
        return done(PyObject_CallFunctionObjArgs(S.completed, self, series, elapsed_object, NULL));
    }
    seconds = plus(series, sum, elapsed);
    ratios = usual ? NULL : plus(series, V_ratios, elapsed / limit);
    more = one_more(SLOT(series, quick));
    if (seconds == NULL || more == NULL || (!usual && ratios == NULL)) {
        Py_XDECREF(seconds);
        Py_XDECREF(ratios);
        Py_XDECREF(more);
        return -1;
    }
    put(self, T_ended, Py_NewRef(elapsed_object));
    put(self, T_state, Py_NewRef(S.finished));
    put(series, quick, more);
    put(series, sum, seconds);
    if (!usual) {
        put(series, V_ratios, ratios);
    }
    return 0;
}

/* Tell the parent what it took, and let go of it. */
static int leave_parent(PyObject *self, PyObject *here, PyObject *name, PyObject *elapsed, PyObject *now)
{
    PyObject *outer = SLOT(self, T_parent), *spent;
    if (!DERIVES(outer, link) || SLOT(outer, T_inner) != self) {
        return done(PyObject_CallFunctionObjArgs(S.let_go, self, here, name, elapsed, now, NULL));
    }
    Py_INCREF(outer);
    put(outer, T_inner, Py_NewRef(Py_None));
    spent = SLOT(outer, T_spent);
    spent = spent == NULL || spent == Py_None ? PyTuple_Pack(2, name, elapsed)
                                              : PyObject_CallFunctionObjArgs(S.added, spent, name, elapsed, NULL);
    if (spent != NULL) {
        put(outer, T_spent, spent);
    }
    Py_DECREF(outer);
    return spent == NULL ? -1 : 0;
}

/* Whether an exit with no exception is common, as far as can be told without a call. If so, it is out of its lane: that
   comes first of all. */
static int begin_exit(PyObject *self)
{
    PyObject *lane = SLOT(self, T_lane), *more = SLOT(self, T_more), *series = SLOT(self, T_series), *here;
    if (SLOT(self, T_state) != S.active || lane == NULL || !DERIVES(lane, lane) || more == NULL || OF(more, more) ||
        SLOT(self, T_inner) != Py_None || series == NULL || !(OF(series, series) || OF(series, varied))) {
        return 0;
    }
    here = SLOT(lane, L_here);
    if (here == NULL || !OF(here, state) || SLOT(self, T_stamp) != SLOT(here, H_stamp)) {
        return 0;
    }
    if (!OF(lane, lane)) {
        return lane == SLOT(here, H_untimed);
    }
    if (PyDict_DelItem(lane, self) == 0) {
        return 1;
    }
    PyErr_Clear(); /* it was not there */
    return 0;
}

/* Go on with what `begin_exit` began. New: what to raise, or None; NULL with an exception, cleared up. */
static PyObject *leave_plain(PyObject *self)
{
    PyObject *lane = Py_NewRef(SLOT(self, T_lane)), *here = Py_NewRef(SLOT(lane, L_here));
    PyObject *series = Py_NewRef(SLOT(self, T_series)), *more = Py_NewRef(SLOT(self, T_more));
    PyObject *now_object = NULL, *elapsed_object = NULL, *raised = NULL, *since;
    double now, deadline, start, delay = 0.0;

    now_object = ask(SLOT(here, H_stopwatch));
    if (now_object == NULL || number(now_object, &now) < 0 || number(SLOT(self, T_deadline), &deadline) < 0) {
        goto failed;
    }
    if (!(now <= deadline) || SLOT(self, T_state) != S.active || SLOT(self, T_stamp) != SLOT(here, H_stamp)) {
        raised = PyObject_CallFunctionObjArgs(S.py_left_by, self, Py_None, NULL);
        if (raised == NULL) {
            goto failed;
        }
        goto left;
    }
    since = SLOT(self, T_started);
    if (number(since == Py_None ? SLOT(self, T_when) : since, &start) < 0 ||
        (since == Py_None && number(SLOT(lane, L_delay), &delay) < 0)) {
        goto failed;
    }
    elapsed_object = PyFloat_FromDouble(now - start + delay);
    if (elapsed_object == NULL ||
        count(self, series, PyFloat_AS_DOUBLE(elapsed_object), elapsed_object,
              now < deadline ? deadline - now + PyFloat_AS_DOUBLE(elapsed_object) : 0.0) < 0) {
        goto failed;
    }
    if (PyDict_GET_SIZE(lane) == 0 && SLOT(here, H_idle) == Py_False &&
        done(PyObject_CallMethodNoArgs(here, S.str_rest)) < 0) {
        goto failed;
    }
    if (SLOT(self, T_parent) != NULL && SLOT(self, T_parent) != Py_None &&
        leave_parent(self, here, SLOT(series, OF(series, series) ? C_name : V_name), elapsed_object, now_object) < 0) {
        goto failed;
    }
    put(self, T_task, Py_NewRef(Py_None)); /* task -> context -> timeout -> task would be a cycle */
    if (more != Py_None && !OF(more, unhurried) && done(PyObject_CallFunctionObjArgs(S.tell, self, more, NULL)) < 0) {
        goto failed;
    }
    raised = Py_NewRef(Py_None);
    goto left;
failed:
    clear_up(self, 0);
left:
    Py_XDECREF(elapsed_object);
    Py_XDECREF(now_object);
    Py_DECREF(more);
    Py_DECREF(series);
    Py_DECREF(here);
    Py_DECREF(lane);
    return raised;
}

/* -- What __aenter__ and __aexit__ return ------------------------------------------------------------------------ */

/* Done at its first step, and never waits. `timeout` is owned until then, and NULL from then on. `stop` is what an entry
   raised, and has the timeout for its value: it is this one's, so that it goes with this one. The collector sees both. */
typedef struct {
    PyObject_HEAD
    PyObject *timeout, *stop;
    int leaving;
} Awaitable;

static PyObject *awaitable_new(PyObject *timeout, int leaving)
{
    Awaitable *self = (Awaitable *)S.spare;
    if (self != NULL) {
        S.spare = NULL;
        PyObject_Init((PyObject *)self, (PyTypeObject *)S.awaitable);
    }
    else if ((self = PyObject_GC_New(Awaitable, (PyTypeObject *)S.awaitable)) == NULL) {
        return NULL;
    }
    self->timeout = Py_NewRef(timeout);
    self->stop = NULL;
    self->leaving = leaving;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* Keep a StopIteration (stolen) for the next entry, if nobody else has it or left anything on it. */
static void stop_spared(PyObject *stop)
{
    PyStopIterationObject *bare = (PyStopIterationObject *)stop;
    if (Py_REFCNT(stop) == 1 && S.spare_stop == NULL && bare->dict == NULL && bare->traceback == NULL &&
        bare->context == NULL && bare->cause == NULL && bare->notes == NULL) {
        S.spare_stop = stop;
        Py_SETREF(bare->value, Py_NewRef(Py_None));
        return;
    }
    Py_DECREF(stop);
}

static int awaitable_traverse(Awaitable *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->timeout);
    Py_VISIT(self->stop);
    return 0;
}

static int awaitable_clear(Awaitable *self)
{
    Py_CLEAR(self->timeout);
    Py_CLEAR(self->stop);
    return 0;
}

static void awaitable_dealloc(Awaitable *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->timeout != NULL) { /* as coroutines say */
        PyObject *kind, *exc, *traceback;
        PyErr_Fetch(&kind, &exc, &traceback);
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                             self->leaving ? "aexit" : "aenter") < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_Restore(kind, exc, traceback);
    }
    Py_CLEAR(self->timeout);
    if (self->stop != NULL) {
        stop_spared(self->stop);
    }
    if (S.spare == NULL) {
        S.spare = (PyObject *)self;
    }
    else {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
}

/* New: the coroutine of the twin. */
static PyObject *twin_of(PyObject *timeout, int leaving)
{
    return leaving ? PyObject_CallFunctionObjArgs(S.py_aexit, timeout, Py_None, Py_None, Py_None, NULL)
                   : PyObject_CallOneArg(S.py_aenter, timeout);
}

/* New: what the twin, which never waits, returns. Where there is no memory to ask it, an exit is cleared up here. */
static PyObject *by_twin(PyObject *timeout, int leaving)
{
    PyObject *coroutine = twin_of(timeout, leaving), *result = NULL;
    if (coroutine == NULL && leaving) {
        clear_up(timeout, 0);
    }
    else if (coroutine != NULL && PyIter_Send(coroutine, Py_None, &result) == PYGEN_NEXT) {
        Py_CLEAR(result);
        PyErr_SetString(PyExc_RuntimeError, "entering and leaving a timeout never waits");
    }
    Py_XDECREF(coroutine);
    return result;
}

/* New: the timeout, which the awaitable is rid of. */
static PyObject *taken(Awaitable *self)
{
    PyObject *timeout = self->timeout;
    self->timeout = NULL;
    if (timeout == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    }
    return timeout;
}

/* The step. New: what `await` gives. */
static PyObject *awaitable_step(Awaitable *self)
{
    PyObject *timeout = taken(self), *result;
    if (timeout == NULL) {
        return NULL;
    }
    if (!self->leaving) {
        result = enter_made(timeout);
        if (result == NULL && !PyErr_Occurred()) {
            result = by_twin(timeout, 0);
        }
    }
    else if (!begin_exit(timeout)) {
        result = by_twin(timeout, 1);
    }
    else {
        result = leave_plain(timeout);
        if (result != NULL && result != Py_None) {
            PyErr_SetObject((PyObject *)Py_TYPE(result), result);
            Py_CLEAR(result);
        }
    }
    Py_DECREF(timeout);
    return result;
}

static PySendResult awaitable_am_send(Awaitable *self, PyObject *value, PyObject **result)
{
    *result = awaitable_step(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* The step, its value in a StopIteration. That is made before anything is entered: where there is no memory for it, who
   awaits would not learn that it was. Always NULL; without an exception, where `silent`, for None. */
static PyObject *awaitable_stop(Awaitable *self, int silent)
{
    PyObject *stop = NULL;
    if (!self->leaving && self->timeout != NULL) {
        stop = PyObject_CallOneArg(PyExc_StopIteration, self->timeout);
        if (stop == NULL) {
            Py_CLEAR(self->timeout);
            return NULL;
        }
    }
    PyObject *result = awaitable_step(self);
    if (result != NULL && stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
    }
    else if (result != NULL && !silent) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    Py_XDECREF(result);
    Py_XDECREF(stop);
    return NULL;
}

/* `SEND` of 3.12 and later asks this, to which None needs no StopIteration. That of an entry is used again and again,
   with nothing else in it: it costs a tenth of all else, anew. */
static PyObject *awaitable_next(Awaitable *self)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (!self->leaving && self->timeout != NULL) {
        PyObject *stop = S.spare_stop, *result;
        S.spare_stop = NULL;
        if (stop == NULL && (stop = PyObject_CallNoArgs(PyExc_StopIteration)) == NULL) {
            Py_CLEAR(self->timeout);
            return NULL;
        }
        result = awaitable_step(self);
        if (result == NULL) {
            stop_spared(stop);
            return NULL;
        }
        Py_XSETREF(((PyStopIterationObject *)stop)->value, result);
        self->stop = Py_NewRef(stop);
        PyErr_SetRaisedException(stop);
        return NULL;
    }
#endif
    return awaitable_stop(self, 1);
}

static PyObject *awaitable_send(Awaitable *self, PyObject *value)
{
    return awaitable_stop(self, 0);
}

/* throw(exception), or throw(type, value, traceback): raised in the twin, before its first line. */
static PyObject *awaitable_throw(Awaitable *self, PyObject *args)
{
    PyObject *timeout = taken(self), *result = NULL;
    PyObject *coroutine = timeout == NULL ? NULL : twin_of(timeout, self->leaving);
    PyObject *method = coroutine == NULL ? NULL : PyObject_GetAttr(coroutine, S.str_throw);
    if (method != NULL) {
        result = PyObject_Call(method, args, NULL);
    }
    Py_XDECREF(method);
    Py_XDECREF(coroutine);
    Py_XDECREF(timeout);
    return result;
}

static PyObject *awaitable_close(Awaitable *self, PyObject *ignored)
{
    Py_CLEAR(self->timeout);
    Py_RETURN_NONE;
}

static PyMethodDef awaitable_methods[] = {
    {"send", (PyCFunction)awaitable_send, METH_O, NULL},
    {"throw", (PyCFunction)awaitable_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)awaitable_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot awaitable_slots[] = {
    {Py_tp_dealloc, awaitable_dealloc},
    {Py_tp_traverse, awaitable_traverse},
    {Py_tp_clear, awaitable_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, awaitable_next},
    {Py_tp_methods, awaitable_methods},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, awaitable_am_send},
    {0, NULL},
};

static PyType_Spec awaitable_spec = {
    .name = "tracedtimeout._core._hot_c.Awaitable",
    .basicsize = sizeof(Awaitable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = awaitable_slots,
};

/* -- The functions of _hot --------------------------------------------------------------------------------------- */

/* Methods of Timeout; of any object, as far as CPython checks. What is no Timeout itself goes to the twin. */
static PyObject *hot_aenter(PyObject *self, PyObject *ignored)
{
    return OF(self, timeout) ? awaitable_new(self, 0) : PyObject_CallOneArg(S.py_aenter, self);
}

static PyObject *hot_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    if (OF(self, timeout) && count == 3 && keywords == NULL && args[1] == Py_None) {
        PyObject *awaitable = awaitable_new(self, 1);
        if (awaitable == NULL) {
            clear_up(self, 0);
        }
        return awaitable;
    }
    PyObject *all[1 + 4] = {self}; /* no bound method: an allocation more that may fail */
    Py_ssize_t given = count + (keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords));
    if (given > 4) {
        return PyErr_Format(PyExc_TypeError, "aexit() takes 4 positional arguments but %zd were given", given + 1);
    }
    for (Py_ssize_t i = 0; i < given; i++) {
        all[1 + i] = args[i];
    }
    return PyObject_Vectorcall(S.py_aexit, all, (size_t)count + 1, keywords);
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS

static PyMethodDef aenter_def = {"aenter", hot_aenter, METH_NOARGS, "Enter a timeout, in the task that it guards."};
static PyMethodDef aexit_def = {"aexit", FAST(hot_aexit), "Leave a timeout, with the exception that its body raised."};

/* New: a Timeout with its fields as _hot_py makes them. */
static PyObject *made(Entry *e)
{
    static const int none[] = {T_started, T_lane, T_owner, T_inner, T_spent, T_more, T_fired, T_ended};
    PyObject *self = ((PyTypeObject *)S.timeout)->tp_alloc((PyTypeObject *)S.timeout, 0);
    if (self != NULL) {
        for (size_t i = 0; i < Py_ARRAY_LENGTH(none); i++) {
            SLOT(self, none[i]) = Py_NewRef(Py_None);
        }
        SLOT(self, T_series) = Py_NewRef(e->series);
        SLOT(self, T_when) = Py_NewRef(e->when);
        SLOT(self, T_state) = Py_NewRef(S.created);
    }
    return self;
}

/* enter(delay, name, kind, at_least=0.0, reserve=None). New. */
static PyObject *hot_enter(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    Entry e = {0};
    PyObject *self = NULL, *result = NULL, *by_name = NULL;
    int entered = 0;
    if (S.timeout != NULL && keywords == NULL && count >= 3 && count <= 5 && PyUnicode_CheckExact(args[1]) &&
        (count < 4 || (PyFloat_CheckExact(args[3]) && PyFloat_AS_DOUBLE(args[3]) == 0.0)) &&
        (count < 5 || args[4] == Py_None) && running(&e, NULL) == 0) {
        by_name = found_in(SLOT(e.here, H_series), args[2]);
        /* Made first: what allocates may run the collector (3.11), and what that closes may be what `look` finds. */
        if (begin(&e, found_in(by_name, args[1]), args[0]) == 0 && (self = made(&e)) != NULL && look(&e)) {
            result = enter_plain(self, &e, 1);
            entered = 1;
        }
        Py_XDECREF(by_name);
        Py_XDECREF(self);
    }
    forget(&e);
    if (!entered) {
        PyErr_Clear();
        result = PyObject_Vectorcall(S.py_enter, args, (size_t)count, keywords);
    }
    return result;
}

/* leave(self): None. */
static PyObject *hot_leave(PyObject *module, PyObject *self)
{
    if (!OF(self, timeout) || !begin_exit(self)) {
        return PyObject_CallOneArg(S.py_leave, self);
    }
    if (done(leave_plain(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* New: the series of the caller's default name by delay; or NULL. */
static PyObject *site_of_caller(PyObject *here)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    if (frame == NULL) {
        return NULL;
    }
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *id = PyLong_FromVoidPtr(code), *found = found_in(SLOT(here, H_sites), id);
    Py_XDECREF(id);
    Py_DECREF(code);
    return found;
}

/* timeout(delay, *, name=None, at_least=0.0, reserve=None). New. */
static PyObject *hot_timeout(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    Entry e = {0};
    PyObject *self = NULL, *name = keywords == NULL ? Py_None : NULL;
    if (keywords != NULL && PyTuple_GET_SIZE(keywords) == 1 && count == 1 &&
        PyTuple_GET_ITEM(keywords, 0) == S.str_name) { /* names of arguments in code are interned */
        name = args[1];
    }
    if (S.timeout != NULL && count == 1 && name != NULL && (name == Py_None || PyUnicode_CheckExact(name)) &&
        running(&e, NULL) == 0 &&
        begin(&e, name == Py_None ? site_of_caller(e.here) : found_in(SLOT(e.here, H_timeouts), name), args[0]) == 0) {
        self = made(&e);
    }
    forget_few(&e);
    if (self == NULL) {
        PyErr_Clear();
        self = PyObject_Vectorcall(S.py_timeout, args, (size_t)count, keywords);
    }
    return self;
}

/* -- Binding ----------------------------------------------------------------------------------------------------- */

/* bind(Timeout): the class, once there is one. */
static PyObject *hot_bind(PyObject *module, PyObject *timeout)
{
    if (!PyType_Check(timeout) || !PyType_IsSubtype((PyTypeObject *)timeout, (PyTypeObject *)S.facts)) {
        PyErr_SetString(PyExc_TypeError, "bind() takes the class of timeouts");
        return NULL;
    }
    Py_XSETREF(S.timeout, Py_NewRef(timeout));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"bind", hot_bind, METH_O, "Have timeouts be of a class."},
    {"enter", FAST(hot_enter),
     "enter($module, delay, name, kind, at_least=0.0, reserve=None)\n--\n\n"
     "A timeout of `delay` seconds that has been entered; left by `leave`, or by `left_by` with what was raised."},
    {"leave", hot_leave, METH_O, "leave($module, self, /)\n--\n\nLeave `self`, whose body raised nothing."},
    {"timeout", FAST(hot_timeout),
     "timeout($module, delay, *, name=None, at_least=0.0, reserve=None)\n--\n\n"
     "A context manager that cancels its body after `delay` seconds and turns that into `DeadlineExceeded`."},
    {NULL, NULL, 0, NULL},
};

/* The offset of a slot of a class. */
static Py_ssize_t offset_of(PyObject *class, const char *name)
{
    Py_ssize_t offset = -1;
    PyObject *found = PyObject_GetAttrString(class, name);
    if (found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type) &&
        ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX) {
        offset = ((PyMemberDescrObject *)found)->d_member->offset;
    }
    else if (found != NULL) {
        PyErr_Format(PyExc_AttributeError, "%s is no slot", name);
    }
    Py_XDECREF(found);
    return offset;
}

/* New, and kept for good: what a module of the core has under a name; its dict, where that is NULL. */
static PyObject *from(const char *module, const char *name)
{
    PyObject *found = NULL, *full = PyUnicode_FromFormat("tracedtimeout._core.%s", module);
    PyObject *imported = full == NULL ? NULL : PyImport_Import(full);
    if (imported != NULL) {
        found = name == NULL ? Py_NewRef(PyModule_GetDict(imported)) : PyObject_GetAttrString(imported, name);
    }
    Py_XDECREF(imported);
    Py_XDECREF(full);
    return found;
}

/* Learn asyncio's class of tasks, whose methods nobody can replace where it is written in C. */
static int take_task(void)
{
    PyObject *module = PyImport_ImportModule("_asyncio"), *method = NULL;
    if (module == NULL) {
        PyErr_Clear();
        return 0;
    }
    S.task = PyObject_GetAttrString(module, "Task");
    Py_DECREF(module);
    method = S.task == NULL ? NULL : PyObject_GetAttr(S.task, S.str_cancelling);
    if (method == NULL) {
        return -1;
    }
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) && ((PyMethodDescrObject *)method)->d_method->ml_flags == METH_NOARGS) {
        S.task_cancelling = ((PyMethodDescrObject *)method)->d_method->ml_meth;
    }
    else {
        Py_CLEAR(S.task);
    }
    Py_DECREF(method);
    return 0;
}

static int take_all(void)
{
#define X(field, module, name)                                                                                         \
    if ((S.field = from(module, name)) == NULL) {                                                                      \
        return -1;                                                                                                     \
    }
    OBJECTS(X)
#undef X
#define X(letter, class, before, name)                                                                                 \
    if ((offsets[letter##_##name] = offset_of(S.class, before #name)) < 0) {                                           \
        return -1;                                                                                                     \
    }
    FIELDS(X)
#undef X
#define X(name)                                                                                                        \
    if ((S.str_##name = PyUnicode_InternFromString(#name)) == NULL) {                                                  \
        return -1;                                                                                                     \
    }
    STRINGS(X)
#undef X
    S.task_names = PyObject_GetAttrString(S.tasks, "__dict__");
    if (S.task_names == NULL || !PyDict_Check(S.task_names) || (S.one = PyLong_FromLong(1)) == NULL) {
        return -1;
    }
    return take_task();
}

static int add_method(PyObject *module, PyMethodDef *definition)
{
    PyObject *method = PyDescr_NewMethod(&PyBaseObject_Type, definition);
    int failed = method == NULL || PyModule_AddObjectRef(module, definition->ml_name, method) < 0;
    Py_XDECREF(method);
    return failed ? -1 : 0;
}

static int hot_exec(PyObject *module)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "without the GIL, tracedtimeout runs the Python");
    return -1;
#endif
    if (S.loaded || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "one interpreter has the compiled hot path, once; others run the Python");
        return -1;
    }
    if (take_all() < 0) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_SetString(PyExc_ImportError, "the compiled hot path was built from other sources");
        }
        return -1;
    }
    S.awaitable = PyType_FromModuleAndSpec(module, &awaitable_spec, NULL);
    if (S.awaitable == NULL || add_method(module, &aenter_def) < 0 || add_method(module, &aexit_def) < 0) {
        return -1;
    }
    S.loaded = 1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, hot_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* refused, it leaves the GIL as it is */
#endif
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tracedtimeout._core._hot_c",
    .m_doc = "The hot path, compiled.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__hot_c(void)
{
    return PyModuleDef_Init(&module_def);
}
