# expect: KD701 KD702 KD711 KD718
import keras
from keras.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(
    x,
    y,
    validation_data=(a, b),
    epochs=50,
    callbacks=[ReduceLROnPlateau(), EarlyStopping("val_loss", 0, 5, restore_best_weights=False), CSVLogger("log.csv")],
)
