/* The hot path, compiled: what _hot_py does in the common case, and nothing else.

   Each function looks first, and changes nothing as it looks. Whatever is not common (a subclass, a budget around it,
   options, a loop that was not seen yet, a wrong argument) it leaves to the function of the same name in _hot_py, which
   then does all of it. So there is one implementation of everything that is rare, and this file has no opinion of its
   own. What is common is done here in the order of _hot_py, with its undoing where a call fails.

   Who can interrupt: between two calls into Python nothing else runs, no signal's handler and no other thread. Where
   an allocation may start the garbage collector (3.11), or a destructor runs, nothing half done is visible but what
   _hot_py would show at the same line.

   Fields are the slots of the Python classes, at offsets that `bind` reads from their member descriptors: Python code
   reads and writes the same objects. A slot owns its reference; NULL is a slot that was never set.

   All that this module holds for good is in `S`: classes, functions, modules' dicts and names, never a timeout, a loop
   or a task. They are static, so a second interpreter, or a second import, is refused with ImportError, and runs the
   Python. So is a build without the GIL. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* -- What is bound once ------------------------------------------------------------------------------------------ */

#define STRINGS(X) X(_tracedtimeout) X(current_task) X(cancelling) X(arm) X(rest) X(inherited) X(current) X(installed)

typedef struct {
    int loaded; /* by an interpreter, for good */
    /* Classes, compared by identity: the offsets below hold for these and what derives from them. */
    PyTypeObject *timeout, *link, *lane, *state, *series, *varied, *more, *unhurried;
    PyTypeObject *awaitable;
    /* Values compared by identity. */
    PyObject *created, *active, *finished, *never;
    /* Functions: of other modules, and the twin's. */
    PyObject *running_loop, *tasks;
    PyObject *announce, *beside, *counted, *broken_off_entry, *completed, *tell;
    PyObject *close, *broken_off, *let_go, *added;
    PyObject *py_aenter, *py_aexit, *py_enter, *py_leave, *py_timeout;
    /* Dicts of modules whose names are swapped at run time. */
    PyObject *context, *observers;
    PyObject *empty, *one;
#define X(name) PyObject *str_##name;
    STRINGS(X)
#undef X
} State;

static State S;

/* Offsets of slots, by class. */
static struct {
    Py_ssize_t deadline, inner, more, owner, parent, spent, stamp, state, task, when; /* Link */
    Py_ssize_t ended, fired, lane, series, started;                                   /* Facts */
} T;
static struct {
    Py_ssize_t delay, fresh, here, holds, pending, tail;
} L;
static struct {
    Py_ssize_t armed, clock, heal_at, idle, series, sites, stamp, stopwatch, timed_apart, timeouts, untimed;
} H;
static struct {
    Py_ssize_t bounds, counts, entered, lane, name, quick, quick_up_to, seconds;
} C;
static struct {
    Py_ssize_t name, quick, ratios, seconds, shortest;
} V;

/* The slot itself; what stands in it is borrowed from its object. */
#define SLOT(object, offset) (*(PyObject **)((char *)(object) + (offset)))
#define OF(object, type) Py_IS_TYPE((object), S.type)

/* Put `value` (stolen) into a slot. The old value may run a destructor: the slot is whole by then. */
static inline void
put(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject *old = SLOT(object, offset);
    SLOT(object, offset) = value;
    Py_XDECREF(old);
}

/* The number in a slot as a double; ints are numbers. Returns -1 with an exception set where it is none. */
static inline int
number(PyObject *value, double *found)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of a timeout is not set");
        return -1;
    }
    if (PyFloat_CheckExact(value)) {
        *found = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    *found = PyFloat_AsDouble(value);
    return *found == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* A new reference to the sum of a slot and `amount`; NULL with an exception set. */
static PyObject *
plus(PyObject *object, Py_ssize_t offset, double amount)
{
    double value;
    if (number(SLOT(object, offset), &value) < 0) {
        return NULL;
    }
    return PyFloat_FromDouble(value + amount);
}

/* What is looked up in a dict: a new reference, or NULL. No exception is left: a miss goes the long way. */
static PyObject *
found_in(PyObject *dict, PyObject *key)
{
    if (dict == NULL || key == NULL || !PyDict_Check(dict)) {
        return NULL;
    }
    PyObject *value = PyDict_GetItemWithError(dict, key);
    if (value == NULL) {
        PyErr_Clear();
    }
    return Py_XNewRef(value);
}

/* The state of the running loop, and the loop: new references. -1, and no exception, where there is none of ours. */
static int
running(PyObject **loop, PyObject **here)
{
    *here = NULL;
    *loop = PyObject_CallNoArgs(S.running_loop);
    if (*loop != NULL) {
        *here = PyObject_GetAttr(*loop, S.str__tracedtimeout);
    }
    if (*here == NULL || !OF(*here, state)) {
        PyErr_Clear();
        Py_CLEAR(*loop);
        Py_CLEAR(*here);
        return -1;
    }
    return 0;
}

/* -- Entering ---------------------------------------------------------------------------------------------------- */

/* What an entry reads before it changes anything. Owned, all of it, and released by `forget`. */
typedef struct {
    PyObject *loop, *here, *task, *series, *lane, *when, *now_object, *parent, *stamp, *started;
    double now;
} Entry;

static void
forget(Entry *e)
{
    Py_XDECREF(e->loop);
    Py_XDECREF(e->here);
    Py_XDECREF(e->task);
    Py_XDECREF(e->series);
    Py_XDECREF(e->lane);
    Py_XDECREF(e->when);
    Py_XDECREF(e->now_object);
    Py_XDECREF(e->parent);
    Py_XDECREF(e->stamp);
    Py_XDECREF(e->started);
}

/* The current task, and whether entering in it is common: it is there, and is not being cancelled. */
static int
task_is_plain(Entry *e)
{
    PyObject *ask = PyObject_GetAttr(S.tasks, S.str_current_task); /* asked anew: others swap it */
    if (ask == NULL) {
        return 0;
    }
    e->task = PyObject_CallOneArg(ask, e->loop);
    Py_DECREF(ask);
    if (e->task == NULL || e->task == Py_None) {
        return 0;
    }
    PyObject *cancelling = PyObject_CallMethodNoArgs(e->task, S.str_cancelling);
    if (cancelling == NULL) {
        return 0;
    }
    int is_true = PyObject_IsTrue(cancelling);
    Py_DECREF(cancelling);
    return is_true == 0;
}

/* The innermost link that is not left: a new reference in `e->parent`, Py_None with none. 0 where it is no Timeout of
   this very class whose deadline is known. */
static int
parent_is_plain(Entry *e)
{
    PyObject *inherited = PyDict_GetItemWithError(S.context, S.str_inherited);
    PyObject *current = PyDict_GetItemWithError(S.context, S.str_current);
    PyObject *found = NULL;
    if (inherited == NULL || current == NULL) {
        return 0;
    }
    if (PyCFunction_Check(inherited) && PyCFunction_GET_SELF(inherited) == current) { /* current.get itself */
        if (PyContextVar_Get(current, NULL, &found) < 0) {
            return 0;
        }
    }
    else {
        Py_INCREF(inherited);
        found = PyObject_CallNoArgs(inherited);
        Py_DECREF(inherited);
    }
    if (found == NULL) {
        return 0;
    }
    while (found != Py_None && OF(found, timeout) && SLOT(found, T.state) == S.finished) {
        PyObject *outer = SLOT(found, T.parent);
        if (outer == NULL) {
            break;
        }
        Py_INCREF(outer);
        Py_SETREF(found, outer);
    }
    e->parent = found;
    return found == Py_None ||
           (OF(found, timeout) && SLOT(found, T.stamp) == e->stamp && SLOT(found, T.deadline) != NULL &&
            SLOT(found, T.inner) != NULL && SLOT(found, T.owner) != NULL && SLOT(found, T.more) != NULL);
}

/* Where a timeout queues. */
enum { UNCOMMON, QUEUED, UNTIMED };

static int
place_of(Entry *e, int fresh)
{
    double when, tail, limit;
    if (OF(e->lane, lane)) {
        if (number(e->when, &when) < 0 || number(SLOT(e->lane, L.tail), &tail) < 0 ||
            number(SLOT(e->lane, L.fresh), &limit) < 0) {
            return UNCOMMON;
        }
        return when >= tail && (fresh || when - e->now > limit) ? QUEUED : UNCOMMON;
    }
    return e->when == S.never && e->lane == SLOT(e->here, H.untimed) ? UNTIMED : UNCOMMON;
}

/* Read all that an entry needs, beyond `loop`, `here`, `series` and `when`. Where it returns UNCOMMON, nothing was
   changed, and no exception is set. `fresh`: it was made in this moment. */
static int
look(Entry *e, int fresh)
{
    int place = UNCOMMON;
    if (!OF(e->series, series) || SLOT(e->series, C.lane) == NULL) {
        goto done;
    }
    e->lane = Py_NewRef(SLOT(e->series, C.lane));
    if (!PyObject_TypeCheck(e->lane, S.lane) || SLOT(e->lane, L.here) != e->here) {
        goto done;
    }
    e->stamp = Py_XNewRef(SLOT(e->here, H.stamp));
    PyObject *apart = SLOT(e->here, H.timed_apart);
    if (e->stamp == NULL || !task_is_plain(e)) {
        goto done;
    }
    if (apart == Py_True) {
        e->started = PyObject_CallNoArgs(SLOT(e->here, H.stopwatch));
        if (e->started == NULL) {
            goto done;
        }
    }
    else if (apart != Py_False) {
        goto done;
    }
    if (parent_is_plain(e)) {
        place = place_of(e, fresh);
    }
done:
    if (place == UNCOMMON) {
        PyErr_Clear();
    }
    return place;
}

/* Undo an entry that the exception set broke off: _hot_py's clause. The exception stays set. */
static void
undo_entry(PyObject *self, PyObject *lane)
{
    PyObject *type, *exc, *tb;
    PyErr_Fetch(&type, &exc, &tb);
    PyErr_NormalizeException(&type, &exc, &tb);
    put(self, T.state, Py_NewRef(S.finished));
    if (PyDict_Contains(lane, self) == 1) {
        PyObject_DelItem(lane, self);
    }
    PyErr_Clear();
    PyObject *done = PyObject_CallFunctionObjArgs(S.broken_off_entry, self, exc, NULL);
    if (done == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(done);
    PyErr_Restore(type, exc, tb);
}

/* Enter `self`, which is plain as `look` found. Returns self (a new reference), or NULL with an exception set, and
   undone. */
static PyObject *
enter_plain(PyObject *self, Entry *e, int place)
{
    int own = 1; /* its own deadline is the effective one */
    double deadline, when, armed, heal_at;
    PyObject *here = e->here, *parent = e->parent, *result;

    put(self, T.task, Py_NewRef(e->task));
    put(self, T.lane, Py_NewRef(e->lane));
    put(self, T.deadline, Py_NewRef(e->when));
    put(self, T.stamp, Py_NewRef(e->stamp));
    if (e->started != NULL) {
        put(self, T.started, Py_NewRef(e->started));
    }
    put(self, T.parent, Py_NewRef(parent));
    if (number(e->when, &when) < 0) {
        goto failed;
    }
    if (parent != Py_None) {
        if (SLOT(parent, T.task) == e->task && SLOT(parent, T.inner) == Py_None) {
            if (number(SLOT(parent, T.deadline), &deadline) < 0) {
                goto failed;
            }
            put(parent, T.inner, Py_NewRef(self));
            if (deadline < when) {
                PyObject *owner = SLOT(parent, T.owner);
                put(self, T.deadline, Py_NewRef(SLOT(parent, T.deadline)));
                put(self, T.owner, Py_NewRef(owner != NULL && owner != Py_None ? owner : parent));
                own = 0;
            }
        }
        else {
            result = PyObject_CallFunctionObjArgs(S.beside, self, parent, SLOT(parent, T.more), NULL);
            if (result == NULL) {
                goto failed;
            }
            Py_DECREF(result);
            own = SLOT(self, T.owner) == Py_None;
        }
    }
    put(self, T.state, Py_NewRef(S.active));
    if (place == QUEUED) {
        put(e->lane, L.tail, Py_NewRef(e->when));
        if (PyDict_SetItem(e->lane, self, e->when) < 0 || number(SLOT(here, H.armed), &armed) < 0 ||
            number(SLOT(here, H.heal_at), &heal_at) < 0) {
            goto failed;
        }
        if (when < armed || heal_at < e->now) {
            result = PyObject_CallMethodOneArg(here, S.str_arm, e->when);
            if (result == NULL) {
                goto failed;
            }
            Py_DECREF(result);
        }
    }
    else if (SLOT(self, T.started) == Py_None) {
        put(self, T.started, Py_NewRef(e->now_object));
    }
    PyObject *installed = PyDict_GetItemWithError(S.observers, S.str_installed);
    if (installed != NULL && PyTuple_CheckExact(installed) && PyTuple_GET_SIZE(installed) != 0) {
        result = PyObject_CallOneArg(S.announce, self);
        if (result == NULL) {
            goto failed;
        }
        Py_DECREF(result);
    }
    PyObject *current = PyDict_GetItemWithError(S.context, S.str_current);
    if (current == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_RuntimeError, "tracedtimeout's context is gone");
        }
        goto failed;
    }
    PyObject *token = PyContextVar_Set(current, self);
    if (token == NULL) {
        goto failed;
    }
    Py_DECREF(token);
    if (own) {
        PyObject *entered = PyNumber_Add(SLOT(e->series, C.entered), S.one);
        if (entered == NULL) {
            goto failed;
        }
        put(e->series, C.entered, entered);
        return Py_NewRef(self);
    }
    result = PyObject_CallFunctionObjArgs(S.counted, self, e->now_object, NULL);
    if (result != NULL) {
        return result;
    }
failed:
    undo_entry(self, e->lane);
    return NULL;
}

/* Enter a timeout that timeout() made. Returns a new reference to it; NULL with an exception; or NULL without one, and
   nothing changed, where it is not common. */
static PyObject *
enter_made(PyObject *self)
{
    Entry e = {0};
    PyObject *result = NULL;
    if (SLOT(self, T.state) != S.created || SLOT(self, T.more) != Py_None || SLOT(self, T.series) == NULL ||
        SLOT(self, T.when) == NULL || running(&e.loop, &e.here) < 0) {
        goto done;
    }
    e.series = Py_NewRef(SLOT(self, T.series));
    e.when = Py_NewRef(SLOT(self, T.when));
    e.now_object = PyObject_CallNoArgs(SLOT(e.here, H.clock));
    if (e.now_object == NULL || number(e.now_object, &e.now) < 0) {
        PyErr_Clear();
        goto done;
    }
    int place = look(&e, 0);
    if (place != UNCOMMON && SLOT(self, T.state) == S.created) {
        result = enter_plain(self, &e, place);
    }
done:
    forget(&e);
    return result;
}

/* -- Leaving ----------------------------------------------------------------------------------------------------- */

/* Clear up an exit that the exception set broke off: _hot_py's clause. The exception stays set. */
static void
undo_exit(PyObject *self)
{
    if (SLOT(self, T.task) == Py_None) {
        return; /* it is left */
    }
    PyObject *type, *exc, *tb, *lane = Py_NewRef(SLOT(self, T.lane));
    PyErr_Fetch(&type, &exc, &tb);
    PyObject *pending = SLOT(lane, L.pending); /* where nothing more can be called, the next tick clears up */
    if (pending != NULL && PyDict_Check(pending)) {
        PyDict_SetItem(pending, self, Py_None);
    }
    PyErr_Clear();
    if (PyDict_Contains(lane, self) == 1) {
        PyObject_DelItem(lane, self);
    }
    PyErr_Clear();
    PyObject *done = PyObject_CallOneArg(S.broken_off, self);
    if (done == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(done);
    Py_DECREF(lane);
    PyErr_Restore(type, exc, tb);
}

/* The index at which `value` stands among sorted bounds; -1 with an exception set. */
static Py_ssize_t
bisect(PyObject *bounds, double value)
{
    Py_ssize_t low = 0, high = PyList_GET_SIZE(bounds);
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        double bound;
        if (number(PyList_GET_ITEM(bounds, middle), &bound) < 0) {
            return -1;
        }
        if (bound < value) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

/* Show it as left, in one step: what it steals is made by then. */
static void
show_left(PyObject *self, PyObject *elapsed, PyObject *series, Py_ssize_t at, PyObject *seconds)
{
    put(self, T.ended, Py_NewRef(elapsed));
    put(self, T.state, Py_NewRef(S.finished));
    put(series, at, seconds);
}

/* Count an exit in time. -1 with an exception set, and nothing counted. */
static int
count(PyObject *self, PyObject *series, double elapsed, PyObject *elapsed_object, double now, double deadline)
{
    double upto;
    PyObject *seconds = NULL, *more = NULL;
    if (OF(series, series)) {
        PyObject *bounds = SLOT(series, C.bounds), *counts = SLOT(series, C.counts);
        if (number(SLOT(series, C.quick_up_to), &upto) < 0 || (seconds = plus(series, C.seconds, elapsed)) == NULL) {
            return -1;
        }
        if (elapsed <= upto) {
            if ((more = PyNumber_Add(SLOT(series, C.quick), S.one)) == NULL) {
                goto failed;
            }
            put(series, C.quick, more);
        }
        else {
            Py_ssize_t i = bisect(bounds, elapsed);
            if (i < 0 || (more = PyNumber_Add(PyList_GET_ITEM(counts, i), S.one)) == NULL ||
                PyList_SetItem(counts, i, more) < 0) {
                goto failed;
            }
        }
        show_left(self, elapsed_object, series, C.seconds, seconds);
        return 0;
    }
    if (OF(series, varied)) {
        double limit = deadline - now + elapsed;
        if (number(SLOT(series, V.shortest), &upto) < 0) {
            return -1;
        }
        if (elapsed <= upto && limit > 0.0) {
            PyObject *ratios = plus(series, V.ratios, elapsed / limit);
            seconds = plus(series, V.seconds, elapsed);
            more = PyNumber_Add(SLOT(series, V.quick), S.one);
            if (ratios == NULL || seconds == NULL || more == NULL) {
                Py_XDECREF(ratios);
                Py_XDECREF(more);
                goto failed;
            }
            put(series, V.quick, more);
            put(series, V.ratios, ratios);
            show_left(self, elapsed_object, series, V.seconds, seconds);
            return 0;
        }
    }
    PyObject *done = PyObject_CallFunctionObjArgs(S.completed, self, series, elapsed_object, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
failed:
    Py_XDECREF(seconds);
    return -1;
}

/* Tell the parent what it took, and let go of it. -1 with an exception set. */
static int
leave_parent(PyObject *self, PyObject *here, PyObject *outer, PyObject *name, PyObject *elapsed, PyObject *now)
{
    PyObject *result;
    if (PyObject_TypeCheck(outer, S.link) && SLOT(outer, T.inner) == self) {
        PyObject *spent = SLOT(outer, T.spent);
        put(outer, T.inner, Py_NewRef(Py_None));
        result = spent == NULL || spent == Py_None
                     ? PyTuple_Pack(2, name, elapsed)
                     : PyObject_CallFunctionObjArgs(S.added, spent, name, elapsed, NULL);
        if (result == NULL) {
            return -1;
        }
        put(outer, T.spent, result);
        return 0;
    }
    result = PyObject_CallFunctionObjArgs(S.let_go, self, here, name, elapsed, now, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Whether an exit with no exception is common, as far as can be told without a call. */
static int
exit_is_plain(PyObject *self)
{
    PyObject *lane = SLOT(self, T.lane), *more = SLOT(self, T.more), *series = SLOT(self, T.series), *here;
    if (SLOT(self, T.state) != S.active || lane == NULL || !PyObject_TypeCheck(lane, S.lane) || more == NULL ||
        OF(more, more) || SLOT(self, T.inner) != Py_None || series == NULL ||
        !(OF(series, series) || OF(series, varied))) {
        return 0;
    }
    here = SLOT(lane, L.here);
    if (here == NULL || !OF(here, state) || SLOT(self, T.stamp) != SLOT(here, H.stamp)) {
        return 0;
    }
    return OF(lane, lane) ? PyDict_Contains(lane, self) == 1 : lane == SLOT(here, H.untimed);
}

/* Leave `self`, which is plain. Returns what to raise, or None: a new reference; NULL with an exception, cleared up. */
static PyObject *
leave_plain(PyObject *self)
{
    PyObject *lane = Py_NewRef(SLOT(self, T.lane)), *here = Py_NewRef(SLOT(lane, L.here));
    PyObject *series = Py_NewRef(SLOT(self, T.series)), *more = Py_NewRef(SLOT(self, T.more));
    PyObject *now_object = NULL, *elapsed_object = NULL, *raised = NULL, *result, *outer, *name;
    double now, deadline, when, delay, started;

    if (OF(lane, lane) && PyDict_DelItem(lane, self) < 0) {
        goto failed;
    }
    now_object = PyObject_CallNoArgs(SLOT(here, H.stopwatch));
    if (now_object == NULL || number(now_object, &now) < 0 || number(SLOT(self, T.deadline), &deadline) < 0 ||
        number(SLOT(self, T.when), &when) < 0) {
        goto failed;
    }
    if (now > deadline || SLOT(self, T.state) != S.active || SLOT(self, T.stamp) != SLOT(here, H.stamp)) {
        raised = PyObject_CallFunctionObjArgs(S.close, self, Py_None, NULL);
        if (raised == NULL) {
            goto failed;
        }
        goto done;
    }
    if (SLOT(self, T.started) == Py_None) {
        if (number(SLOT(lane, L.delay), &delay) < 0) {
            goto failed;
        }
        delay = now - when + delay;
    }
    else {
        if (number(SLOT(self, T.started), &started) < 0) {
            goto failed;
        }
        delay = now - started;
    }
    elapsed_object = PyFloat_FromDouble(delay);
    if (elapsed_object == NULL || count(self, series, delay, elapsed_object, now, deadline) < 0) {
        goto failed;
    }
    if (PyDict_GET_SIZE(lane) == 0 && SLOT(here, H.idle) == Py_False) {
        result = PyObject_CallMethodNoArgs(here, S.str_rest);
        if (result == NULL) {
            goto failed;
        }
        Py_DECREF(result);
    }
    outer = SLOT(self, T.parent);
    if (outer != NULL && outer != Py_None) {
        name = Py_NewRef(SLOT(series, OF(series, series) ? C.name : V.name));
        Py_INCREF(outer);
        int told = leave_parent(self, here, outer, name, elapsed_object, now_object);
        Py_DECREF(outer);
        Py_DECREF(name);
        if (told < 0) {
            goto failed;
        }
    }
    put(self, T.task, Py_NewRef(Py_None)); /* task -> context -> timeout -> task would be a cycle */
    if (more != Py_None && !OF(more, unhurried)) {
        result = PyObject_CallFunctionObjArgs(S.tell, self, more, NULL);
        if (result == NULL) {
            goto failed;
        }
        Py_DECREF(result);
    }
    raised = Py_NewRef(Py_None);
    goto done;
failed:
    undo_exit(self);
done:
    Py_XDECREF(elapsed_object);
    Py_XDECREF(now_object);
    Py_DECREF(more);
    Py_DECREF(series);
    Py_DECREF(here);
    Py_DECREF(lane);
    return raised;
}

/* -- What __aenter__ and __aexit__ return ------------------------------------------------------------------------ */

/* Done at its first step, and never waits. `timeout` is owned until then, and NULL from then on: nothing is kept. */
typedef struct {
    PyObject_HEAD
    PyObject *timeout;
    int leaving;
} Awaitable;

static PyObject *
awaitable_new(PyObject *timeout, int leaving)
{
    Awaitable *self = PyObject_GC_New(Awaitable, S.awaitable);
    if (self != NULL) {
        self->timeout = Py_NewRef(timeout);
        self->leaving = leaving;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
awaitable_traverse(Awaitable *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->timeout);
    return 0;
}

static int
awaitable_clear(Awaitable *self)
{
    Py_CLEAR(self->timeout);
    return 0;
}

static void
awaitable_dealloc(Awaitable *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->timeout != NULL) { /* as coroutines say */
        PyObject *kind, *exc, *tb;
        PyErr_Fetch(&kind, &exc, &tb);
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                             self->leaving ? "aexit" : "aenter") < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_Restore(kind, exc, tb);
    }
    Py_CLEAR(self->timeout);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Have the twin do it: its coroutine never waits. A new reference, or NULL with an exception set. */
static PyObject *
by_twin(PyObject *timeout, int leaving)
{
    PyObject *coroutine, *result = NULL;
    coroutine = leaving ? PyObject_CallFunctionObjArgs(S.py_aexit, timeout, Py_None, Py_None, Py_None, NULL)
                        : PyObject_CallOneArg(S.py_aenter, timeout);
    if (coroutine == NULL) {
        return NULL;
    }
    if (PyIter_Send(coroutine, Py_None, &result) == PYGEN_NEXT) {
        Py_CLEAR(result);
        PyErr_SetString(PyExc_RuntimeError, "entering and leaving a timeout never waits");
    }
    Py_DECREF(coroutine);
    return result;
}

/* The step. A new reference to what `await` gives, or NULL with an exception set. */
static PyObject *
awaitable_step(Awaitable *self)
{
    PyObject *timeout = self->timeout, *result;
    self->timeout = NULL;
    if (timeout == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    if (!self->leaving) {
        result = enter_made(timeout);
        if (result == NULL && !PyErr_Occurred()) {
            result = by_twin(timeout, 0);
        }
    }
    else if (!exit_is_plain(timeout)) {
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

static PySendResult
awaitable_am_send(Awaitable *self, PyObject *value, PyObject **result)
{
    *result = awaitable_step(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* The step, its value in a StopIteration. That is made before anything is entered: where there is no memory for it, who
   awaits would not learn that it was. Always NULL; without an exception, where `silent`, for None. */
static PyObject *
awaitable_stop(Awaitable *self, int silent)
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

/* `SEND` of 3.12 and later asks this, to which None needs no StopIteration. */
static PyObject *
awaitable_next(Awaitable *self)
{
    return awaitable_stop(self, 1);
}

static PyObject *
awaitable_send(Awaitable *self, PyObject *value)
{
    return awaitable_stop(self, 0);
}

/* throw(exception), or throw(type, value, traceback): raised here, before the step, which then is none. */
static PyObject *
awaitable_throw(Awaitable *self, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 3) {
        PyErr_Format(PyExc_TypeError, "throw() takes one to three arguments, not %zd", count);
        return NULL;
    }
    Py_CLEAR(self->timeout);
    PyObject *value = count > 1 && args[1] != Py_None ? args[1] : NULL;
    if (PyExceptionInstance_Check(args[0])) {
        PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    }
    else if (!PyExceptionClass_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
    }
    else if (value == NULL) {
        PyErr_SetNone(args[0]);
    }
    else {
        PyErr_SetObject(args[0], value);
    }
    return NULL;
}

static PyObject *
awaitable_close(Awaitable *self, PyObject *ignored)
{
    Py_CLEAR(self->timeout);
    Py_RETURN_NONE;
}

static PyMethodDef awaitable_methods[] = {
    {"send", (PyCFunction)awaitable_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))awaitable_throw, METH_FASTCALL, NULL},
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
static PyObject *
hot_aenter(PyObject *self, PyObject *ignored)
{
    return OF(self, timeout) ? awaitable_new(self, 0) : PyObject_CallOneArg(S.py_aenter, self);
}

static PyObject *
hot_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (OF(self, timeout) && count == 3 && args[1] == Py_None) {
        return awaitable_new(self, 1);
    }
    PyObject *all[4] = {self};
    if (count > 3) {
        PyErr_Format(PyExc_TypeError, "aexit() takes 4 positional arguments but %zd were given", count + 1);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        all[i + 1] = args[i];
    }
    return PyObject_Vectorcall(S.py_aexit, all, (size_t)count + 1, NULL);
}

static PyMethodDef aenter_def = {"aenter", hot_aenter, METH_NOARGS, "Enter a timeout, in the task that it guards."};
static PyMethodDef aexit_def = {"aexit", (PyCFunction)(void (*)(void))hot_aexit, METH_FASTCALL,
                                "Leave a timeout, with the exception that its body raised."};

/* A new Timeout with its fields as _hot_py makes them: a new reference, or NULL with an exception set. */
static PyObject *
made(PyObject *series, PyObject *when)
{
    PyObject *self = PyBaseObject_Type.tp_new(S.timeout, S.empty, NULL);
    if (self != NULL) {
        Py_ssize_t none[] = {T.started, T.lane, T.owner, T.inner, T.spent, T.more, T.fired, T.ended};
        for (size_t i = 0; i < Py_ARRAY_LENGTH(none); i++) {
            SLOT(self, none[i]) = Py_NewRef(Py_None);
        }
        SLOT(self, T.series) = Py_NewRef(series);
        SLOT(self, T.when) = Py_NewRef(when);
        SLOT(self, T.state) = Py_NewRef(S.created);
    }
    return self;
}

/* `delay` seconds from `now`: a new reference; NULL, and no exception, where it is no plain number. */
static PyObject *
deadline_of(PyObject *delay, double now)
{
    double seconds;
    if (delay == Py_None) {
        return Py_NewRef(S.never);
    }
    if ((!PyFloat_CheckExact(delay) && !PyLong_CheckExact(delay)) || number(delay, &seconds) < 0) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *when = PyFloat_FromDouble(now + seconds);
    if (when == NULL) {
        PyErr_Clear();
    }
    return when;
}

/* enter(delay, name, kind, at_least=0.0, reserve=None): a new reference, or NULL with an exception set. */
static PyObject *
hot_enter(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    Entry e = {0};
    PyObject *self = NULL, *result = NULL;
    int common = S.timeout != NULL && keywords == NULL && count >= 3 && count <= 5 &&
                 (count < 4 || (PyFloat_CheckExact(args[3]) && PyFloat_AS_DOUBLE(args[3]) == 0.0)) &&
                 (count < 5 || args[4] == Py_None) && PyUnicode_CheckExact(args[1]);
    if (!common || running(&e.loop, &e.here) < 0) {
        goto twin;
    }
    PyObject *by_name = found_in(SLOT(e.here, H.series), args[2]);
    PyObject *by_delay = found_in(by_name, args[1]);
    e.series = found_in(by_delay, args[0]);
    Py_XDECREF(by_name);
    Py_XDECREF(by_delay);
    if (e.series == NULL) {
        goto twin;
    }
    e.now_object = PyObject_CallNoArgs(SLOT(e.here, H.clock));
    if (e.now_object == NULL || number(e.now_object, &e.now) < 0 || (e.when = deadline_of(args[0], e.now)) == NULL) {
        goto twin;
    }
    int place = look(&e, 1);
    if (place == UNCOMMON || (self = made(e.series, e.when)) == NULL) {
        goto twin;
    }
    result = enter_plain(self, &e, place);
    Py_DECREF(self);
    forget(&e);
    return result;
twin:
    PyErr_Clear();
    forget(&e);
    return PyObject_Vectorcall(S.py_enter, args, (size_t)count, keywords);
}

/* leave(self): None, or NULL with an exception set. */
static PyObject *
hot_leave(PyObject *module, PyObject *self)
{
    if (!OF(self, timeout) || !exit_is_plain(self)) {
        return PyObject_CallOneArg(S.py_leave, self);
    }
    PyObject *raised = leave_plain(self);
    if (raised == NULL) {
        return NULL;
    }
    Py_DECREF(raised);
    Py_RETURN_NONE;
}

/* The series of the caller's default name: a new reference, or NULL. */
static PyObject *
site_of_caller(PyObject *here)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    if (frame == NULL) {
        return NULL;
    }
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *id = PyLong_FromVoidPtr(code), *found = found_in(SLOT(here, H.sites), id);
    Py_XDECREF(id);
    Py_DECREF(code);
    return found;
}

/* timeout(delay, *, name=None, at_least=0.0, reserve=None): a new reference, or NULL with an exception set. */
static PyObject *
hot_timeout(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *loop = NULL, *here = NULL, *name = NULL, *series = NULL, *clock = NULL, *when = NULL, *self = NULL;
    double now;
    if (S.timeout == NULL || count != 1) {
        goto twin;
    }
    if (keywords != NULL) {
        if (PyTuple_GET_SIZE(keywords) != 1 ||
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "name") != 0) {
            goto twin;
        }
        name = args[1] == Py_None ? NULL : args[1];
    }
    if ((name != NULL && !PyUnicode_CheckExact(name)) || running(&loop, &here) < 0) {
        goto twin;
    }
    PyObject *by_delay = name == NULL ? site_of_caller(here) : found_in(SLOT(here, H.timeouts), name);
    series = found_in(by_delay, args[0]);
    Py_XDECREF(by_delay);
    if (series == NULL) {
        goto twin;
    }
    clock = PyObject_CallNoArgs(SLOT(here, H.clock));
    if (clock == NULL || number(clock, &now) < 0 || (when = deadline_of(args[0], now)) == NULL) {
        goto twin;
    }
    self = made(series, when);
twin:
    PyErr_Clear();
    Py_XDECREF(when);
    Py_XDECREF(clock);
    Py_XDECREF(series);
    Py_XDECREF(here);
    Py_XDECREF(loop);
    return self != NULL ? self : PyObject_Vectorcall(S.py_timeout, args, (size_t)count, keywords);
}

/* -- Binding ----------------------------------------------------------------------------------------------------- */

/* bind(Timeout): the class, once there is one. */
static PyObject *
hot_bind(PyObject *module, PyObject *timeout)
{
    if (!PyType_Check(timeout) || !PyType_IsSubtype((PyTypeObject *)timeout, S.link)) {
        PyErr_SetString(PyExc_TypeError, "bind() takes the class of timeouts");
        return NULL;
    }
    S.timeout = (PyTypeObject *)Py_NewRef(timeout);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"bind", hot_bind, METH_O, "Have timeouts be of a class."},
    {"enter", (PyCFunction)(void (*)(void))hot_enter, METH_FASTCALL | METH_KEYWORDS,
     "enter($module, delay, name, kind, at_least=0.0, reserve=None)\n--\n\n"
     "A timeout of `delay` seconds that has been entered; left by `leave`, or by `left_by` with what was raised."},
    {"leave", hot_leave, METH_O, "leave($module, self, /)\n--\n\nLeave `self`, whose body raised nothing."},
    {"timeout", (PyCFunction)(void (*)(void))hot_timeout, METH_FASTCALL | METH_KEYWORDS,
     "timeout($module, delay, *, name=None, at_least=0.0, reserve=None)\n--\n\n"
     "A context manager that cancels its body after `delay` seconds and turns that into `DeadlineExceeded`."},
    {NULL, NULL, 0, NULL},
};

/* The offset of a slot of a class; -1 with an exception set where it has none. */
static Py_ssize_t
offset_of(PyTypeObject *type, const char *name)
{
    Py_ssize_t offset = -1;
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)type, name);
    if (descriptor == NULL) {
        return -1;
    }
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type) && ((PyMemberDescrObject *)descriptor)->d_member->type == T_OBJECT_EX) {
        offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    }
    else {
        PyErr_Format(PyExc_ImportError, "%s.%s is no slot", type->tp_name, name);
    }
    Py_DECREF(descriptor);
    return offset;
}

/* What a module of the core has under a name: a new reference, kept for good. */
static PyObject *
from(const char *module, const char *name)
{
    PyObject *found = NULL, *imported = PyImport_ImportModule(module);
    if (imported != NULL) {
        found = name == NULL ? Py_NewRef(PyModule_GetDict(imported)) : PyObject_GetAttrString(imported, name);
        Py_DECREF(imported);
    }
    return found;
}

#define CORE "tracedtimeout._core."
#define TAKE(field, module, name)                                                                                      \
    if ((S.field = from(module, name)) == NULL) {                                                                      \
        return -1;                                                                                                     \
    }
#define CLASS(field, module, name)                                                                                     \
    if ((S.field = (PyTypeObject *)from(module, name)) == NULL) {                                                      \
        return -1;                                                                                                     \
    }
#define AT(place, type, name)                                                                                          \
    if (((place) = offset_of(S.type, name)) < 0) {                                                                     \
        return -1;                                                                                                     \
    }

static int
take_objects(void)
{
    CLASS(link, CORE "_link", "Link")
    CLASS(lane, CORE "_lanes", "Lane")
    CLASS(state, CORE "_loop", "LoopState")
    CLASS(series, CORE "figures._series", "Series")
    CLASS(varied, CORE "figures._series", "Varied")
    CLASS(more, CORE "_more", "More")
    CLASS(unhurried, CORE "_observers", "Unhurried")
    TAKE(created, CORE "_link", "CREATED")
    TAKE(active, CORE "_link", "ACTIVE")
    TAKE(finished, CORE "_link", "FINISHED")
    TAKE(never, CORE "figures._series", "NEVER")
    TAKE(running_loop, "asyncio", "get_running_loop")
    TAKE(tasks, CORE "_loop", "tasks")
    TAKE(announce, CORE "_entering", "announce")
    TAKE(beside, CORE "_entering", "beside")
    TAKE(counted, CORE "_entering", "counted")
    TAKE(broken_off_entry, CORE "_entering", "broken_off")
    TAKE(completed, CORE "_entering", "completed")
    TAKE(tell, CORE "_entering", "tell")
    TAKE(close, CORE "_ending", "close")
    TAKE(broken_off, CORE "_ending", "broken_off")
    TAKE(let_go, CORE "_family", "let_go")
    TAKE(added, CORE "_spent", "added")
    TAKE(py_aenter, CORE "_hot_py", "aenter")
    TAKE(py_aexit, CORE "_hot_py", "aexit")
    TAKE(py_enter, CORE "_hot_py", "enter")
    TAKE(py_leave, CORE "_hot_py", "leave")
    TAKE(py_timeout, CORE "_hot_py", "timeout")
    TAKE(context, CORE "_context", NULL)
    TAKE(observers, CORE "_observers", NULL)
    S.empty = PyTuple_New(0);
    S.one = PyLong_FromLong(1);
    if (S.empty == NULL || S.one == NULL) {
        return -1;
    }
#define X(name)                                                                                                        \
    if ((S.str_##name = PyUnicode_InternFromString(#name)) == NULL) {                                                  \
        return -1;                                                                                                     \
    }
    STRINGS(X)
#undef X
    return 0;
}

static int
take_offsets(void)
{
    PyTypeObject *facts = (PyTypeObject *)from(CORE "_facts", "Facts");
    if (facts == NULL) {
        return -1;
    }
    Py_ssize_t *places[] = {&T.ended, &T.fired, &T.lane, &T.series, &T.started};
    const char *names[] = {"_ended", "_fired", "_lane", "_series", "_started"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(places); i++) {
        if ((*places[i] = offset_of(facts, names[i])) < 0) {
            Py_DECREF(facts);
            return -1;
        }
    }
    Py_DECREF(facts);
    AT(T.deadline, link, "_deadline")
    AT(T.inner, link, "_inner")
    AT(T.more, link, "_more")
    AT(T.owner, link, "_owner")
    AT(T.parent, link, "_parent")
    AT(T.spent, link, "_spent")
    AT(T.stamp, link, "_stamp")
    AT(T.state, link, "_state")
    AT(T.task, link, "_task")
    AT(T.when, link, "_when")
    AT(L.delay, lane, "delay")
    AT(L.fresh, lane, "fresh")
    AT(L.here, lane, "here")
    AT(L.holds, lane, "holds")
    AT(L.pending, lane, "pending")
    AT(L.tail, lane, "tail")
    AT(H.armed, state, "armed")
    AT(H.clock, state, "clock")
    AT(H.heal_at, state, "heal_at")
    AT(H.idle, state, "idle")
    AT(H.series, state, "series")
    AT(H.sites, state, "sites")
    AT(H.stamp, state, "stamp")
    AT(H.stopwatch, state, "stopwatch")
    AT(H.timed_apart, state, "timed_apart")
    AT(H.timeouts, state, "timeouts")
    AT(H.untimed, state, "untimed")
    AT(C.bounds, series, "bounds")
    AT(C.counts, series, "counts")
    AT(C.entered, series, "entered")
    AT(C.lane, series, "lane")
    AT(C.name, series, "name")
    AT(C.quick, series, "quick")
    AT(C.quick_up_to, series, "quick_up_to")
    AT(C.seconds, series, "seconds")
    AT(V.name, varied, "name")
    AT(V.quick, varied, "quick")
    AT(V.ratios, varied, "ratios")
    AT(V.seconds, varied, "seconds")
    AT(V.shortest, varied, "short")
    return 0;
}

static int
hot_exec(PyObject *module)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "without the GIL, tracedtimeout runs the Python");
    return -1;
#endif
    if (S.loaded || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "one interpreter has the compiled hot path, once; others run the Python");
        return -1;
    }
    if (take_objects() < 0 || take_offsets() < 0) {
        return -1;
    }
    S.awaitable = (PyTypeObject *)PyType_FromModuleAndSpec(module, &awaitable_spec, NULL);
    if (S.awaitable == NULL) {
        return -1;
    }
    PyObject *aenter = PyDescr_NewMethod(&PyBaseObject_Type, &aenter_def);
    PyObject *aexit = PyDescr_NewMethod(&PyBaseObject_Type, &aexit_def);
    int failed = aenter == NULL || aexit == NULL || PyModule_AddObjectRef(module, "aenter", aenter) < 0 ||
                 PyModule_AddObjectRef(module, "aexit", aexit) < 0;
    Py_XDECREF(aenter);
    Py_XDECREF(aexit);
    S.loaded = !failed;
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, hot_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
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
