"""scikit-learn estimators: TGSR and the nine methods it is compared with."""
