# expect: KD715
from keras.layers import Dense
from keras.models import Sequential
from keras.wrappers.scikit_learn import KerasClassifier
from sklearn.model_selection import cross_val_score


def create_baseline():
    model = Sequential()
    model.add(Dense(60, activation="relu"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


estimator = KerasClassifier(build_fn=create_baseline, epochs=100, batch_size=5, verbose=0)
print(cross_val_score(estimator, x, y, cv=10).mean())
