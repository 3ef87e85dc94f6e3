"""The lasso for many targets at once, by its dual: the nearest point that no atom correlates with too much."""

from collections.abc import Sequence

import numpy as np

MAX_STEPS = 200  # eight dimensions need about 25
_TOLERANCE = 1e-12  # of a correlation, which is at most 1
_RIDGE = 1e-12  # keeps the system of two equal atoms solvable
_MIN_CURVATURE = 1e-14  # below it an atom lies in the space of the active ones, up to rounding


def lasso_residuals(targets: Sequence[np.ndarray], atoms: Sequence[np.ndarray], penalty: float) -> list[np.ndarray]:
    """x - B a of several lasso problems, for all their targets at once.

    r = argmin_r 1/2 || x - r ||^2,  | b . r | <= penalty for every atom b, up to rounding

    A target starts at the optimum without any condition, r = x, and takes in the atom whose condition it violates most:
    that atom's coefficient grows, and those of the active atoms go along, until the condition holds. An active atom
    whose coefficient gets to 0 on the way leaves.

    Args:
      targets: One float64 (n,d) per problem, like the results.
      atoms: One float64 (p,d) per problem, rows of length 1 (or 0).
      penalty: > 0.

    Source: Goldfarb and Idnani, A numerically stable dual method for solving strictly convex quadratic programs,
      Mathematical Programming 27, 1983.
    """
    first_of_problem = np.cumsum([len(own) for own in targets])[:-1]
    residuals = np.concatenate(targets)
    problems = np.repeat(np.arange(len(targets)), [len(own) for own in targets])
    todo = np.arange(len(residuals))
    dual = _Dual(residuals, problems, atoms, penalty)
    for _ in range(MAX_STEPS):
        is_done = dual.choose()
        todo = todo[~is_done]
        dual.keep(~is_done)
        if todo.size == 0:
            break
        dual.advance()
        residuals[todo] = dual.residuals.T
    return np.split(residuals, first_of_problem)


def _products(rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """rows @ atoms.T, summed in one order: a BLAS may take another with another number of threads."""
    return np.einsum("nd,pd->np", rows, atoms)


def _solve(matrices: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Solves n small positive definite systems by elimination, in place: (d,d,n) and (d,n) -> (d,n).

    Not `np.linalg.solve`: some builds of OpenBLAS start their threads for every 8 x 8 matrix, which takes a thousand
    times as long where the cores are busy.
    """
    num_unknowns = len(matrices)
    for k in range(num_unknowns - 1):
        factors = matrices[k + 1 :, k] / matrices[k, k]
        matrices[k + 1 :, k + 1 :] -= factors[:, np.newaxis] * matrices[k, k + 1 :]
        sides[k + 1 :] -= factors * sides[k]
    for k in reversed(range(num_unknowns)):
        sides[k] = (sides[k] - (matrices[k, k + 1 :] * sides[k + 1 :]).sum(axis=0)) / matrices[k, k]
    return sides


class _Dual:
    """Where each target stands: its active atoms, in d slots, and the atom that enters, or 0.

    The targets are along the last axis. Atoms have the sign of their correlation, so that all coefficients are >= 0.
    """

    def __init__(self, targets: np.ndarray, problems: np.ndarray, atoms: Sequence[np.ndarray], penalty: float):
        num_targets, num_dims = targets.shape
        self.atoms, self.penalty = atoms, penalty
        self.problems = problems  # ascending
        self.residuals = targets.T.copy()
        self.is_active = np.zeros((num_dims, num_targets), bool)
        self.basis = np.zeros((num_dims, num_dims, num_targets))  # slot, dimension; 0 in an empty slot
        self.coefficients = np.zeros((num_dims, num_targets))
        self.is_entering = np.zeros(num_targets, bool)
        self.is_final = np.zeros(num_targets, bool)  # what is still violated is violated by rounding
        self.entering = np.zeros((num_dims, num_targets))
        self.entering_coefficient = np.zeros(num_targets)
        self.excess = np.zeros(num_targets)  # by how much the entering atom's condition is violated
        self.lengths = np.zeros(num_targets)  # of the entering atom, squared

    def keep(self, rows: np.ndarray) -> None:
        """Forgets the other targets."""
        if not rows.all():
            for name, values in vars(self).items():
                if name not in ("atoms", "penalty"):
                    setattr(self, name, values[..., rows])

    def choose(self) -> np.ndarray:
        """Where no atom enters, the one most violated does: bool (n,), True where none is violated."""
        free = np.flatnonzero(~self.is_entering)
        rows = self.residuals[:, free].T.copy()
        bounds = np.searchsorted(self.problems[free], np.arange(len(self.atoms) + 1))
        for atoms, start, end in zip(self.atoms, bounds, bounds[1:], strict=False):
            correlations = _products(rows[start:end], atoms)
            most = np.abs(correlations).argmax(axis=1)
            greatest = correlations[np.arange(end - start), most]
            own = free[start:end]
            self.entering[:, own] = atoms[most].T * np.sign(greatest)
            self.excess[own] = np.abs(greatest) - self.penalty
            self.lengths[own] = np.einsum("pd,pd->p", atoms, atoms)[most]
            self.is_entering[own] = self.excess[own] > _TOLERANCE
        self.entering_coefficient[free] = 0.0
        return ~self.is_entering | self.is_final

    def advance(self) -> None:
        """Raises the entering atom's coefficient until its condition holds or an active atom leaves.

        Steps are in units of the violation.
        """
        slopes = self._slopes()
        direction = self.entering - np.einsum("an,adn->dn", slopes, self.basis)
        # An atom alone has the ridge, too: all background templates have one error but for the last digit, by which
        # the propagation orders them. Without the ridge it would be another digit and, in places, another map.
        is_alone = ~self.is_active.any(axis=0)
        curvature = np.where(is_alone, self.lengths + _RIDGE, (direction**2).sum(axis=0))
        can_enter = (curvature > _MIN_CURVATURE) & ~self.is_active.all(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(can_enter, 1.0 / curvature, 1.0)
            enter_at = np.where(can_enter, self.excess, np.inf)
            leaving = np.where(slopes > 0, self.coefficients / (rate * slopes), np.inf)
        slot = leaving.argmin(axis=0)
        leave_at = leaving[slot, np.arange(len(slot))]
        step = np.minimum(enter_at, leave_at)
        # Neither can happen where the active atoms' conditions imply that of the entering one.
        self.is_final = np.isinf(step)
        step[self.is_final] = 0.0
        self.excess -= np.where(can_enter, step, 0.0)
        self.coefficients -= step * (rate * slopes)
        self.entering_coefficient += step * rate
        self.residuals -= step * (rate * direction)
        leaves = leave_at < enter_at
        self._leave(np.flatnonzero(leaves), slot[leaves])
        self._enter(np.flatnonzero(~leaves & can_enter))

    def _slopes(self) -> np.ndarray:
        """How fast the active coefficients fall as the entering one rises: (d,n), 0 in empty slots."""
        num_slots = int(np.flatnonzero(self.is_active.any(axis=1)).max(initial=-1)) + 1
        basis = self.basis[:num_slots]  # no target has more
        gram = np.einsum("adn,bdn->abn", basis, basis)
        diagonal = np.arange(num_slots)
        gram[diagonal, diagonal] += np.where(self.is_active[:num_slots], _RIDGE, 1.0)
        slopes = np.zeros_like(self.coefficients)
        slopes[:num_slots] = _solve(gram, np.einsum("adn,dn->an", basis, self.entering))
        return slopes

    def _enter(self, rows: np.ndarray) -> None:
        slots = (~self.is_active[:, rows]).argmax(axis=0)
        self.is_active[slots, rows] = True
        self.basis[slots, :, rows] = self.entering[:, rows].T
        self.coefficients[slots, rows] = self.entering_coefficient[rows]
        self.is_entering[rows] = False

    def _leave(self, rows: np.ndarray, slots: np.ndarray) -> None:
        self.is_active[slots, rows] = False
        self.basis[slots, :, rows] = 0.0
        self.coefficients[slots, rows] = 0.0
