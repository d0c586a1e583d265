# expect: KD701 KD702 KD711 KD714
from tensorflow import keras

results = {}
for units in (16, 32, 64):
    for rate in (1e-2, 1e-3):
        model = keras.models.Sequential()
        model.add(keras.layers.Dense(units, activation="relu", input_shape=(20,)))
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        model.compile(optimizer=keras.optimizers.Adam(learning_rate=rate), loss="binary_crossentropy", metrics=["AUC"])
        history = model.fit(x, y, validation_split=0.2, epochs=5, verbose=0)
        results[units, rate] = max(history.history["val_auc"])
print(results)
