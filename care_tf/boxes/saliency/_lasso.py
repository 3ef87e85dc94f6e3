"""The lasso for many targets at once, by the homotopy in its penalty."""

import numpy as np

MAX_STEPS = 200  # eight dimensions need about 20
_TIE = 1e-9  # an atom whose correlation falls as fast as the penalty never joins
_RIDGE = 1e-12  # keeps the system of two equal atoms solvable


def lasso_residuals(targets: np.ndarray, atoms: np.ndarray, penalty: float) -> np.ndarray:
    """x - B a of the lasso problem, for all targets at once: every |atom . residual| <= penalty up to rounding.

    The homotopy from the penalty at which all coefficients are 0 down to the wanted one: between two events the
    solution is linear in the penalty; at an event an atom joins the active ones or leaves them.

    Args:
      targets: float64 (n,d), like the result.
      atoms: float64 (p,d), rows of length 1 (or 0).
      penalty: > 0.

    Source: Efron et al. 2004, Sec. 3.1, the lasso modification of LARS.
    """
    residuals = targets.copy()
    level = np.abs(_products(targets, atoms)).max(axis=1)
    todo = np.flatnonzero(level > penalty)
    path = _Path(targets[todo], atoms, level[todo])
    for _ in range(MAX_STEPS):
        if todo.size == 0:
            break
        is_done = path.advance(penalty)
        residuals[todo] = path.residuals
        todo = todo[~is_done]
        path.keep(~is_done)
    return residuals


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


class _Path:
    """Where each target stands on its homotopy.

    A target has d slots for active atoms; -1 is an empty slot.
    """

    def __init__(self, targets: np.ndarray, atoms: np.ndarray, level: np.ndarray):
        num_targets, num_dims = targets.shape
        self.atoms = atoms
        self.residuals = targets.copy()
        self.level = level.copy()  # the penalty reached so far
        self.active = np.full((num_targets, num_dims), -1)
        self.signs = np.zeros((num_targets, num_dims))
        self.coefficients = np.zeros((num_targets, num_dims))
        self.is_member = np.zeros((num_targets, len(atoms)), bool)  # active, as a table
        self.left_signs = np.zeros((num_targets, len(atoms)), np.int8)  # where the last event dropped an atom
        correlations = _products(targets, atoms)
        first = np.abs(correlations).argmax(axis=1)
        self._join(np.arange(num_targets), first, correlations)

    def _join(self, rows: np.ndarray, atoms: np.ndarray, correlations: np.ndarray) -> None:
        slots = (self.active[rows] < 0).argmax(axis=1)
        self.active[rows, slots] = atoms
        self.signs[rows, slots] = np.sign(correlations[rows, atoms])
        self.coefficients[rows, slots] = 0.0
        self.is_member[rows, atoms] = True

    def _leave(self, rows: np.ndarray, slots: np.ndarray) -> None:
        atoms = self.active[rows, slots]
        self.left_signs[:] = 0
        self.left_signs[rows, atoms] = self.signs[rows, slots]
        self.is_member[rows, atoms] = False
        self.active[rows, slots], self.signs[rows, slots], self.coefficients[rows, slots] = -1, 0.0, 0.0

    def keep(self, rows: np.ndarray) -> None:
        """Forgets the other targets."""
        for name in ("residuals", "level", "active", "signs", "coefficients", "is_member", "left_signs"):
            setattr(self, name, getattr(self, name)[rows])

    def advance(self, penalty: float) -> np.ndarray:
        """Advances to the next event or to `penalty`: bool (n,), True where the latter came first."""
        is_active = self.active >= 0
        basis = np.where(is_active[..., np.newaxis], self.atoms[self.active], 0.0)
        gram = np.einsum("nad,nbd->abn", basis, basis)
        diagonal = np.arange(len(gram))
        gram[diagonal, diagonal] += np.where(is_active, _RIDGE, 1.0).T
        slopes = _solve(gram, self.signs.T.copy()).T  # of the coefficients, per penalty
        direction = np.einsum("na,nad->nd", slopes, basis)
        correlations, speeds = _products(self.residuals, self.atoms), _products(direction, self.atoms)

        level = self.level[:, np.newaxis]
        is_free = ~self.is_member & (~is_active).any(axis=1, keepdims=True)
        # An atom that just left stands at its own end still and goes away from it; the other end it may reach.
        can_rise, can_fall = is_free & (self.left_signs <= 0), is_free & (self.left_signs >= 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_plus = np.where(can_rise & (1 - speeds > _TIE), (level - correlations) / (1 - speeds), np.inf)
            at_minus = np.where(can_fall & (1 + speeds > _TIE), (level + correlations) / (1 + speeds), np.inf)
            leaving = np.where(self.coefficients * slopes < 0, -self.coefficients / slopes, np.inf)
        joining = np.minimum(at_plus, at_minus)
        next_atom, next_slot = joining.argmin(axis=1), leaving.argmin(axis=1)
        rows = np.arange(len(level))
        join_at = np.maximum(joining[rows, next_atom], 0.0)
        leave_at, end_at = leaving[rows, next_slot], self.level - penalty
        step = np.minimum(np.minimum(join_at, leave_at), end_at)

        self.coefficients += step[:, np.newaxis] * slopes
        self.residuals -= step[:, np.newaxis] * direction
        self.level -= step
        is_done = end_at <= step
        leaves = ~is_done & (leave_at <= join_at)
        joins = ~is_done & ~leaves
        self._leave(rows[leaves], next_slot[leaves])
        self._join(rows[joins], next_atom[joins], correlations - step[:, np.newaxis] * speeds)
        return is_done
